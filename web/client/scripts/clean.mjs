// Removes a folder of this package that a build is about to make anew.
import { rm } from "node:fs/promises";

await rm(new URL(`../${process.argv[2]}/`, import.meta.url), { recursive: true, force: true });
