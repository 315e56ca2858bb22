// What the WebAssembly that `cargo xtask vectors` built makes of published test vectors, one line for each.
//
//   verdicts.mjs MODULE FOLDER      MODULE is its glue, FOLDER that of the vectors

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [module, folder] = process.argv.slice(2)
const { vectorSets, verdicts } = createRequire(import.meta.url)(module)
for (const { files, name } of JSON.parse(vectorSets())) {
  process.stdout.write(verdicts(name, files.map((file) => readFileSync(join(folder, file), 'utf8'))))
}
