/** Builds `graph.html`: one file with everything in it. */

import { build } from "esbuild";
import { readFile, rename, writeFile } from "node:fs/promises";

const here = new URL(".", import.meta.url);
const target = process.argv[2] ? new URL(process.argv[2], `file://${process.cwd()}/`) : new URL("../dolbuild/graph.html", here);
const common = { bundle: true, minify: true, write: false, target: "es2022", format: "iife", charset: "utf8", metafile: true, absWorkingDir: here.pathname };

const worker = await build({ ...common, entryPoints: ["source/worker.ts"], legalComments: "none" });
const page = await build({
  ...common,
  entryPoints: ["source/main.ts"],
  legalComments: "none",
  define: { WORKER: JSON.stringify(worker.outputFiles[0].text) },
});
const css = await build({ ...common, entryPoints: ["source/page.css"] });
const used = new Set();
for (const input of [...Object.keys(worker.metafile.inputs), ...Object.keys(page.metafile.inputs)])
  for (const [, name] of input.matchAll(/node_modules\/((?:@[^/]+\/)?[^/]+)\//g)) used.add(name);
const licenses = [];
for (const name of [...used].sort()) {
  const { version, license } = JSON.parse(await readFile(new URL(`node_modules/${name}/package.json`, here), "utf8"));
  licenses.push(`${name} ${version} (${license})`);
}
const put = (text, name, value) => text.replace(`/*${name}*/`, () => value.trim());
let html = await readFile(new URL("source/page.html", here), "utf8");
html = put(html, "LICENSES", licenses.join(", "));
html = put(html, "STYLE", css.outputFiles[0].text);
html = put(html, "SCRIPT", page.outputFiles[0].text.replaceAll("</script", "<\\/script"));
await writeFile(`${target.pathname}.tmp`, html);
await rename(`${target.pathname}.tmp`, target.pathname);
console.log(`${target.pathname}: ${Math.round(html.length / 1024)} KiB`);
