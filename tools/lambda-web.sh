#!/bin/sh
# Starts the streaming function on AWS Lambda; the Lambda Web Adapter passes each request on to it over HTTP.
cd "${LAMBDA_TASK_ROOT:-$(dirname "$0")}" || exit 1
exec "${PYTHON:-python3}" -m uvicorn functions.app:app --host 127.0.0.1 --port "${AWS_LWA_PORT:-8080}" \
  --no-access-log --log-level warning --timeout-graceful-shutdown 1
