// The README's examples, run as they stand there.

import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * The code blocks of a README in their order. What follows the language names the file of an example; a shell block
 * has none.
 */
export function codeBlocks(markdown) {
  const fenced = markdown.matchAll(/^```(\S+)(?: (\S+))?\n([^]*?)^```$/gm)
  return [...fenced].map(([, language, file, text]) => ({ language, file, text }))
}

/** The lines of the shell blocks. */
export function commands(blocks) {
  return blocks.filter(({ language }) => language === 'sh').flatMap(({ text }) => text.trimEnd().split('\n'))
}

/** What an example says it prints: the comments behind its `console.log` calls. */
export function promised(text) {
  return [...text.matchAll(/console\.log\(.*\) \/\/ (.*)$/gm)].map(([, output]) => output)
}

/** Writes the examples into a folder, with the gate where it really is. Gives their names and texts. */
export async function writeExamples(blocks, folder, gate) {
  const examples = blocks.filter(({ language }) => language !== 'sh')
  for (const { file, text } of examples) {
    assert.ok(file, `an example has no file name:\n${text}`)
    await writeFile(join(folder, file), text.replaceAll('http://127.0.0.1:8787', gate))
  }
  return new Map(examples.map(({ file, text }) => [file, text]))
}
