// Builds the verify page: one file, dist/page/verify.html, that works offline and from `file://`.
//
// The script is a classic one, since browsers do not load module scripts from `file://`. Script and style sheet stand
// in the file, and its Content-Security-Policy names exactly these two by hash and allows no connection at all.

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type { Plugin, UserConfig } from 'vite'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
const WASM_ID = 'virtual:verifier-wasm'
/** Where the verifier's build is, unless these variables name other files. */
const WASM = process.env['PASSGATE_VERIFIER_WASM'] ?? here('../dist/verifier.wasm')
const GLUE = process.env['PASSGATE_VERIFIER_GLUE'] ?? here('../../target/web/verifier.js')

/** The verifier's WebAssembly as base64, and the glue that wasm-bindgen made for it. */
function verifierWasm(): Plugin {
  return {
    name: 'verifier-wasm',
    enforce: 'pre',
    resolveId(id) {
      if (id === WASM_ID) return `\0${WASM_ID}`
      return id === 'passgate-glue' ? GLUE : null
    },
    load(id) {
      if (id !== `\0${WASM_ID}`) return null
      this.addWatchFile(WASM)
      return `export default ${JSON.stringify(readFileSync(WASM).toString('base64'))}`
    },
  }
}

/** Glue code may name its `.wasm` file beside it. Here there is none, and the bundler must not make it an asset. */
function withoutWasmFiles(): Plugin {
  const named = /new URL\(\s*(['"])[^'"]*\.wasm\1\s*,\s*import\.meta\.url\s*\)/g
  return {
    name: 'without-wasm-files',
    enforce: 'pre',
    transform: (code) => (named.test(code) ? { code: code.replace(named, 'undefined'), map: null } : null),
  }
}

const sha256 = (text: string): string => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

function policy(script: string, style: string): string {
  return [
    "default-src 'none'",
    `script-src ${sha256(script)} 'wasm-unsafe-eval'`,
    `style-src ${sha256(style)}`,
    'img-src data:',
    "connect-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join('; ')
}

/** Puts script and style sheet into the page, with the policy that allows these alone. */
function oneFile(): Plugin {
  return {
    name: 'one-file',
    enforce: 'post',
    generateBundle(_, bundle) {
      let script = ''
      let style = ''
      for (const [name, output] of Object.entries(bundle)) {
        if (output.type === 'chunk') script += output.code
        else if (name.endsWith('.css')) style += String(output.source)
        else this.error(`${name} would be a second file: the page has to be one`)
        delete bundle[name]
      }
      // Either would end or change the script element; as `\x3c` they mean the same inside the strings they stand in.
      script = script.trim().replace(/<(?=\/script|!--)/gi, '\\x3c')
      style = style.trim()
      const broken = script === '' || style === '' || /<\/style/i.test(style)
      if (broken) this.error('script or style sheet is missing or broken')
      const parts: Record<string, string> = { POLICY: policy(script, style), STYLE: style, SCRIPT: script }
      const template = readFileSync(here('index.html'), 'utf8')
      const source = template.replace(/%(POLICY|STYLE|SCRIPT)%/g, (_match, part: string) => parts[part] ?? '')
      this.emitFile({ type: 'asset', fileName: 'verify.html', source })
    },
  }
}

const config: UserConfig = {
  root: here('.'),
  publicDir: false,
  logLevel: 'warn',
  plugins: [verifierWasm(), withoutWasmFiles(), oneFile()],
  build: {
    outDir: here('../dist/page'),
    emptyOutDir: false,
    target: 'es2022',
    cssCodeSplit: false,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: here('src/main.ts'),
      output: { format: 'iife', name: 'passgateVerify', entryFileNames: 'page.js', assetFileNames: 'page.[ext]' },
    },
  },
}

export default config
