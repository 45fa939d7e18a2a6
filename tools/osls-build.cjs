// Builds the artifact before osls packages it, so that what is deployed is never a stale one.
const { spawnSync } = require("node:child_process");
const path = require("node:path");

module.exports = class HoldfastBuild {
  constructor(serverless) {
    this.hooks = {
      "before:package:initialize": () => {
        const cwd = path.join(__dirname, "..");
        const { status } = spawnSync("make", ["--no-print-directory", "package"], { cwd, stdio: "inherit" });
        if (status !== 0) throw new serverless.classes.Error("make package failed; its own words stand above.");
      },
    };
  }
};
