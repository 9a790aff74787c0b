// Reads an AsyncAPI document from standard input and writes the parser's errors and warnings, a line each.
// usage: node asyncapi_check.cjs PARSER; the parser is a script made for browsers.
const fs = require("node:fs");
const vm = require("node:vm");

globalThis.self = globalThis;
globalThis.window = globalThis;
globalThis.location = { href: "http://localhost/", protocol: "http:", host: "localhost" };
vm.runInThisContext(fs.readFileSync(process.argv[2], "utf8"));

const ERROR = 0;
const WARNING = 1;

async function main() {
  const found = await new globalThis.AsyncAPIParser().validate(fs.readFileSync(0, "utf8"));
  const grave = found.filter((one) => one.severity === ERROR || one.severity === WARNING);
  const lines = grave.map((one) => `${one.path.join("/")}: ${one.message} (${one.code})`);
  process.stdout.write(lines.join("\n"));
}

main();
