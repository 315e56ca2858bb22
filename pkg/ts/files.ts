// Files with secrets, in Node. Other runtimes have none, and bundlers for them see no module of Node here.

import { base64url, builtin, randomBytes, utf8Text } from './bytes.js'
import { PassgateError } from './errors.js'

/** What is used of `node:fs/promises`. */
interface FileSystem {
  readonly constants: { readonly O_RDONLY: number; readonly O_NONBLOCK?: number }
  open(path: string, flags: string | number, mode?: number): Promise<FileHandle>
  mkdir(path: string, options: { recursive: boolean; mode: number }): Promise<unknown>
  rename(from: string, to: string): Promise<void>
  link(from: string, to: string): Promise<void>
  unlink(path: string): Promise<void>
}

interface FileHandle {
  chmod(mode: number): Promise<void>
  stat(): Promise<{ readonly mode: number; isFile(): boolean }>
  read(buffer: Uint8Array, offset: number, length: number, position: number): Promise<{ readonly bytesRead: number }>
  writeFile(data: string): Promise<void>
  sync(): Promise<void>
  close(): Promise<void>
}

interface Paths {
  dirname(path: string): string
  basename(path: string): string
  join(...parts: string[]): string
}

const SECRET_MODE = 0o600
const FOLDER_MODE = 0o700
/** The longest credentials file: a passport of 16 KiB, a key and some room. */
const MAX_BYTES = 64 * 1024

/** Reads a text that nobody but its owner may read. */
export async function readSecret(path: string): Promise<string> {
  const { fs } = await node()
  // A pipe that nobody writes to must not hold this up; where it is no such flag, there are no such pipes.
  const flags = fs.constants.O_RDONLY | (fs.constants.O_NONBLOCK ?? 0)
  const file = await fs.open(path, flags).catch((cause: unknown) => {
    if (codeOf(cause) === 'ENOENT') throw new PassgateError('file_missing', `There is no file ${path}.`, { cause })
    throw failed('read', path, cause)
  })
  try {
    return await readWhole(file, path)
  } finally {
    await file.close()
  }
}

async function readWhole(file: FileHandle, path: string): Promise<string> {
  // Asked of the open file, so that it cannot be exchanged in between.
  const status = await file.stat()
  if (!status.isFile()) throw new PassgateError('file_failed', `${path} is no file.`)
  const { mode } = status
  if (hasModes() && (mode & 0o077) !== 0) {
    const shown = (mode & 0o777).toString(8)
    throw new PassgateError(
      'file_exposed',
      `Others may read or write ${path} (mode ${shown}): run chmod 600, and replace the key if they could.`,
    )
  }
  const bytes = new Uint8Array(MAX_BYTES + 1)
  let length = 0
  for (;;) {
    const { bytesRead } = await file.read(bytes, length, bytes.length - length, length).catch((cause: unknown) => {
      throw failed('read', path, cause)
    })
    length += bytesRead
    if (length > MAX_BYTES) throw new PassgateError('file_too_long', `${path} is longer than 64 KiB.`)
    if (bytesRead === 0) break
  }
  const text = utf8Text(bytes.subarray(0, length))
  bytes.fill(0)
  if (text === null) throw new PassgateError('credentials_malformed', `${path} is no text.`)
  return text
}

/** Writes a text that nobody but its owner may read: beside its place first, so that it is whole or not there. */
export async function writeSecret(path: string, text: string, overwrite: boolean): Promise<void> {
  const { fs, paths } = await node()
  const folder = paths.dirname(path)
  const temporary = paths.join(folder, `.${paths.basename(path)}.${base64url(await randomBytes(9))}.tmp`)
  try {
    await fs.mkdir(folder, { recursive: true, mode: FOLDER_MODE })
    await writeNew(fs, temporary, text)
    if (overwrite) await fs.rename(temporary, path)
    else await moveToFree(fs, temporary, path)
  } catch (cause) {
    // What is left cannot be helped: the first failure is the one to tell.
    await fs.unlink(temporary).catch(() => undefined)
    if (!overwrite && codeOf(cause) === 'EEXIST') {
      const message = `${path} is there already: choose another name, or set \`overwrite: true\`.`
      throw new PassgateError('file_exists', message, { cause })
    }
    throw failed('write', path, cause)
  }
}

async function writeNew(fs: FileSystem, path: string, text: string): Promise<void> {
  const file = await fs.open(path, 'wx', SECRET_MODE)
  try {
    await file.chmod(SECRET_MODE)
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
}

/** A link, unlike a rename, fails when the name is taken. Where there are no links, the name is taken first. */
async function moveToFree(fs: FileSystem, from: string, to: string): Promise<void> {
  try {
    await fs.link(from, to)
    await fs.unlink(from)
  } catch (cause) {
    if (!['EPERM', 'ENOTSUP', 'ENOSYS', 'EINVAL'].includes(String(codeOf(cause)))) throw cause
    await (await fs.open(to, 'wx', SECRET_MODE)).close()
    await fs.rename(from, to)
  }
}

/** Windows has no modes: whoever may read a file there is said by the folder it is in. */
function hasModes(): boolean {
  return (globalThis as { process?: { platform?: string } }).process?.platform !== 'win32'
}

async function node(): Promise<{ fs: FileSystem; paths: Paths }> {
  const [fs, paths] = [await builtin<FileSystem>('fs/promises'), await builtin<Paths>('path')]
  if (fs && paths) return { fs, paths }
  throw new PassgateError(
    'files_unavailable',
    'There are no files here: use AgentCredentials.parse, or store and restore in browsers.',
  )
}

function failed(verb: string, path: string, cause: unknown): PassgateError {
  return new PassgateError('file_failed', `Cannot ${verb} ${path}: ${String(codeOf(cause) ?? cause)}.`, { cause })
}

function codeOf(error: unknown): unknown {
  return (error as { code?: unknown } | null)?.code
}
