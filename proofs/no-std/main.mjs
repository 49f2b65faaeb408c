// Prints the digest in Node. The module imports nothing: it needs nothing of its host.
import { readFileSync } from "node:fs";

const [, , file, lives] = process.argv;
const { instance } = await WebAssembly.instantiate(readFileSync(file), {});
const digest = BigInt.asUintN(64, instance.exports.heartbeat_digest(Number(lives)));
console.log(digest.toString(16).padStart(16, "0"));
