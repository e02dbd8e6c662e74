/** gRPC calls of the CLI, built from the .proto files at run time, and what a failed one means to the person who typed it. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { Client, credentials, type MethodDefinition, type ServiceError, status } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { CommandFailure } from './command-failure.ts'

/** A message as proto-loader gives and takes it, with the names of the .proto file. */
export type Message = Readonly<Record<string, unknown>>
export type Method = MethodDefinition<Message, Message>

/** Beside the sources in a clone, one folder further up in the package. */
const protoFolder = ['../proto', '../../proto']
  .map((way) => join(import.meta.dirname, way))
  .find((path) => existsSync(join(path, 'inference')))

export function loadService(file: string, service: string): Readonly<Record<string, Method>> {
  if (protoFolder === undefined) throw new CommandFailure('the proto folder is missing from this installation')
  // Counts of tokens and milliseconds fit a number; an enum is shown by its name.
  const loaded = loadSync(file, { includeDirs: [protoFolder], keepCase: true, longs: Number, enums: String, defaults: true })
  return loaded[service] as unknown as Readonly<Record<string, Method>>
}

export const connect = (to: string): Client => new Client(to, credentials.createInsecure())

export function method(service: Readonly<Record<string, Method>>, name: string): Method {
  const found = service[name]
  if (found === undefined) throw new Error(`no method ${name}`)
  return found
}

export const callUnary = (client: Client, what: Method, request: Message, deadlineMs: number): Promise<Message> =>
  new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      what.path,
      what.requestSerialize,
      what.responseDeserialize,
      request,
      { deadline: Date.now() + deadlineMs },
      (error, response) => (error === null && response !== undefined ? resolve(response) : reject(error)),
    )
  })

export const isServiceError = (error: unknown): error is ServiceError =>
  error instanceof Error && typeof (error as Partial<ServiceError>).code === 'number' && 'details' in error

/**
 * What to throw for a failed call: one line that names the cause and, where there is one, the cure. `cure` is what to do when nothing listens at the
 * address. An error that is no call's is handed back as it is.
 */
export function explainCall(error: unknown, to: string, cure: string): unknown {
  if (!isServiceError(error)) return error
  const { code, details } = error
  if (code === status.UNAVAILABLE && /ECONNREFUSED|No connection established|ENOTFOUND|EHOSTUNREACH|name resolution/i.test(details))
    return new CommandFailure(`nothing answers at ${to}; ${cure}`)
  if (code === status.DEADLINE_EXCEEDED) return new CommandFailure(`no complete answer from ${to} within the deadline (DEADLINE_EXCEEDED)`)
  return new CommandFailure(`${status[code] ?? code}: ${details}`)
}
