"""Local stand-ins for the services that Holdfast uses: loopback only, never imported by functions/."""
