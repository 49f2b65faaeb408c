// Prints the digests in Node. The module imports nothing: it needs nothing of its host.
import { readFileSync } from "node:fs";

const [, , file, lives, worlds] = process.argv;
const { instance } = await WebAssembly.instantiate(readFileSync(file), {});
const { heartbeat_digest, heartbeat_simulate } = instance.exports;
for (const digest of [heartbeat_digest(Number(lives)), heartbeat_simulate(Number(worlds))]) {
    console.log(BigInt.asUintN(64, digest).toString(16).padStart(16, "0"));
}
