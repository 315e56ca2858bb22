// Credentials in the browser's IndexedDB, which keeps keys of WebCrypto without ever showing them.

import { PassgateError } from './errors.js'
import type { PublicJwk } from './types.js'

/** What is kept under a name. */
export interface StoredCredentials {
  readonly passport: string
  readonly publicJwk: PublicJwk
  readonly privateKey: CryptoKey
}

const DATABASE = 'passgate'
const STORE = 'credentials'

/** Keeps a value under a name, in the place of the one that stands there. */
export async function put(name: string, value: StoredCredentials): Promise<void> {
  await within('readwrite', (store) => store.put(value, named(name)))
}

/** The value under a name. */
export async function get(name: string): Promise<StoredCredentials | null> {
  const kept = await within<unknown>('readonly', (store) => store.get(named(name)))
  return (kept ?? null) as StoredCredentials | null
}

/** Deletes the value under a name. */
export async function remove(name: string): Promise<void> {
  await within('readwrite', (store) => store.delete(named(name)))
}

function named(name: string): string {
  if (typeof name === 'string' && name !== '') return name
  throw new PassgateError('option_invalid', 'Credentials are stored under a name that is a text.')
}

/** The result of one request, once its transaction is complete. */
async function within<Result>(
  mode: IDBTransactionMode,
  ask: (store: IDBObjectStore) => IDBRequest<Result>,
): Promise<Result> {
  const database = await open()
  try {
    return await new Promise<Result>((resolve, reject) => {
      const transaction = database.transaction(STORE, mode)
      const request = ask(transaction.objectStore(STORE))
      transaction.oncomplete = () => resolve(request.result)
      transaction.onabort = () => reject(failed(transaction.error ?? request.error))
    })
  } finally {
    database.close()
  }
}

function open(): Promise<IDBDatabase> {
  const factory = (globalThis as { indexedDB?: IDBFactory }).indexedDB
  if (!factory) {
    const message = 'There is no IndexedDB here: use save and load in Node, or export and parse.'
    return Promise.reject(new PassgateError('storage_unavailable', message))
  }
  return new Promise((resolve, reject) => {
    const request = factory.open(DATABASE, 1)
    request.onupgradeneeded = () => request.result.createObjectStore(STORE)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(failed(request.error))
    request.onblocked = () => reject(failed(null))
  })
}

function failed(cause: DOMException | null): PassgateError {
  const why = cause?.name ?? 'it is blocked'
  return new PassgateError('storage_failed', `The browser's storage failed: ${why}.`, { cause })
}
