// What a program for Node.js does that has the types of Node.js and not those of browsers.

import { createReadStream } from 'node:fs'
import { AgentCredentials, PassgateError, PassportClient, verifyExport } from 'passgate'

export async function call(path: string): Promise<number> {
  try {
    const credentials = await AgentCredentials.load(path)
    const response = await new PassportClient(credentials).fetch(new URL('https://tools.example/'), { method: 'GET' })
    // @ts-expect-error it is a number
    const wrong: string = response.status
    return response.status + wrong.length
  } catch (error) {
    throw error instanceof PassgateError ? new Error(error.code) : error
  }
}

export async function isWhole(path: string): Promise<boolean> {
  const { valid } = await verifyExport(createReadStream(path), { keys: [] })
  return valid
}
