/**
 * gRPC reflection from buf's own descriptors. The ones that proto-loader makes name map entries in a way that strict readers refuse, so that every
 * message with a map could be listed and not described.
 */
import type { Server } from '@grpc/grpc-js'
import { ReflectionService } from '@grpc/reflection'
import { DESCRIPTORS } from './descriptors.gen.ts'

type PackageDefinition = ConstructorParameters<typeof ReflectionService>[0]

/** `file` of FileDescriptorSet: field 1, length-delimited. */
const FILE_TAG = 0x0a

export function addReflection(server: Server, services: readonly string[]): void {
  const fileDescriptorProtos = DESCRIPTORS.flatMap((set) => splitDescriptorSet(Buffer.from(set, 'base64')))
  // The service reads nothing but this field of an entry.
  const described = { millrace: { fileDescriptorProtos } } as unknown as PackageDefinition
  new ReflectionService(described, { services: [...services] }).addToServer(server)
}

export function splitDescriptorSet(set: Buffer): Buffer[] {
  const files: Buffer[] = []
  let at = 0
  const next = (): number => {
    const byte = set[at++]
    if (byte === undefined) throw new Error('a descriptor set ends in the middle')
    return byte
  }
  while (at < set.length) {
    if (next() !== FILE_TAG) throw new Error('a descriptor set holds nothing but files')
    let length = 0
    let shift = 0
    for (let more = true; more; shift += 7) {
      const byte = next()
      length |= (byte & 0x7f) << shift
      more = byte > 0x7f
    }
    if (at + length > set.length) throw new Error('a descriptor set ends in the middle')
    files.push(set.subarray(at, at + length))
    at += length
  }
  return files
}
