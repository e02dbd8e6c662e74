/**
 * gRPC server reflection: which services the proxy has, and the files that describe them. What only other services need is neither listed nor given
 * out. Each answer holds the file and all that it imports, so that a client asks once.
 */
import { type ErrorResponse, ServerReflectionRequest, ServerReflectionResponse } from '../../proto/gen/grpc/reflection/v1/reflection.ts'
import { GRPC } from '../grpc/status.ts'
import type { LocalCall, LocalHandler } from './local-stream.ts'

/** One file of the contracts. */
export type DescribedFile = {
  readonly name: string
  readonly imports: readonly string[]
  /** Full names of all that it declares: services, methods, messages, fields, enumerations and their values. */
  readonly symbols: readonly string[]
  readonly services: readonly string[]
  /** Full names of messages, which could have extensions, and none has. */
  readonly messages: readonly string[]
  /** The FileDescriptorProto. */
  readonly bytes: Uint8Array
}

type Answer = NonNullable<ServerReflectionResponse['messageResponse']>

export class DescriptorIndex {
  readonly #services: readonly string[]
  readonly #byName = new Map<string, DescribedFile>()
  readonly #bySymbol = new Map<string, DescribedFile>()
  readonly #messages = new Set<string>()

  /** Throws when a service is described by no file: that is a mistake of ours. */
  constructor(files: readonly DescribedFile[], services: readonly string[]) {
    this.#services = services
    const all = new Map(files.map((file) => [file.name, file]))
    for (const service of services) {
      const file = files.find((one) => one.services.includes(service))
      if (file === undefined) throw new Error(`no descriptor has the service ${service}`)
      for (const needed of withImports(file, all)) this.#add(needed)
    }
  }

  answer(asked: ServerReflectionRequest['messageRequest']): Answer {
    switch (asked?.$case) {
      case 'listServices':
        return { $case: 'listServicesResponse', value: { service: this.#services.map((name) => ({ name })) } }
      case 'fileByFilename':
        return this.#give(this.#byName.get(asked.value), `file ${asked.value}`)
      case 'fileContainingSymbol':
        return this.#give(this.#bySymbol.get(asked.value), `symbol ${asked.value}`)
      case 'fileContainingExtension':
        return failure(GRPC.NOT_FOUND, `extension ${asked.value.extensionNumber} of ${asked.value.containingType}`)
      case 'allExtensionNumbersOfType':
        return this.#messages.has(asked.value)
          ? { $case: 'allExtensionNumbersResponse', value: { baseTypeName: asked.value, extensionNumber: [] } }
          : failure(GRPC.NOT_FOUND, `message ${asked.value}`)
      case undefined:
        return failure(GRPC.INVALID_ARGUMENT, 'the request asks nothing')
      default:
        return asked satisfies never
    }
  }

  #add(file: DescribedFile): void {
    this.#byName.set(file.name, file)
    for (const symbol of file.symbols) this.#bySymbol.set(symbol, file)
    for (const message of file.messages) this.#messages.add(message)
  }

  #give(file: DescribedFile | undefined, what: string): Answer {
    if (file === undefined) return failure(GRPC.NOT_FOUND, what)
    const fileDescriptorProto = withImports(file, this.#byName).map(({ bytes }) => Buffer.from(bytes))
    return { $case: 'fileDescriptorResponse', value: { fileDescriptorProto } }
  }
}

/** The file first, then what it imports, each once. */
function withImports(file: DescribedFile, all: ReadonlyMap<string, DescribedFile>): readonly DescribedFile[] {
  const found = new Set([file])
  for (const one of found)
    for (const name of one.imports) {
      const imported = all.get(name)
      if (imported !== undefined) found.add(imported)
    }
  return [...found]
}

const failure = (errorCode: number, what: string): { $case: 'errorResponse'; value: ErrorResponse } => ({
  $case: 'errorResponse',
  value: { errorCode, errorMessage: errorCode === GRPC.NOT_FOUND ? `${what} is not known here` : what },
})

/** The index is made when it is first asked for. */
export const reflectionHandler = (index: () => DescriptorIndex): LocalHandler => ({
  requests: 'many',
  onMessage(call: LocalCall, message: Uint8Array) {
    let request: ServerReflectionRequest
    try {
      request = ServerReflectionRequest.decode(message)
    } catch {
      return call.end(GRPC.INVALID_ARGUMENT, 'illegal protobuf')
    }
    const messageResponse = index().answer(request.messageRequest)
    call.send(ServerReflectionResponse.encode({ validHost: request.host, originalRequest: request, messageResponse }).finish())
  },
  onHalfClose: (call) => call.end(GRPC.OK, ''),
  onOver: () => {},
})
