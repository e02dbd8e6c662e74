/**
 * Reads the contracts' descriptors for reflection, when somebody asks for the first time. Only names are read, by the reader that the generated code
 * has loaded anyway: the package's own descriptor classes would cost every worker megabytes and a tenth of a second.
 */
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire'
import { DESCRIPTORS } from '../../core/edge/descriptors.gen.ts'
import { OWN_SERVICES } from '../grpc/methods.ts'
import { type DescribedFile, DescriptorIndex } from '../local/reflection.ts'

/** Numbers of descriptor.proto's fields; what is not here is passed over. */
const SET = { file: 1 }
const FILE = { name: 1, package: 2, dependency: 3, messageType: 4, enumType: 5, service: 6 }
const MESSAGE = { name: 1, field: 2, nestedType: 3, enumType: 4, oneofDecl: 8 }
/** An enumeration's values, a service's methods. */
const PARENT = { name: 1, child: 2 }
const LEAF = { name: 1 }

let made: DescriptorIndex | undefined

export function ownDescriptors(): DescriptorIndex {
  made ??= new DescriptorIndex(
    DESCRIPTORS.flatMap((set) => fieldsOf(Buffer.from(set, 'base64')).all(SET.file).map(describe)),
    OWN_SERVICES,
  )
  return made
}

function describe(bytes: Uint8Array): DescribedFile {
  const file = fieldsOf(bytes)
  const scope = file.text(FILE.package)
  const symbols: string[] = []
  const messages: string[] = []
  const services: string[] = []
  // The values of an enumeration stand beside it, not inside.
  const addEnum = (one: Fields, within: string): void => {
    symbols.push(join(within, one.text(PARENT.name)), ...namesIn(one, PARENT.child, within))
  }
  const addMessage = (one: Fields, within: string): void => {
    const name = join(within, one.text(MESSAGE.name))
    messages.push(name)
    symbols.push(name, ...namesIn(one, MESSAGE.field, name), ...namesIn(one, MESSAGE.oneofDecl, name))
    for (const nested of one.all(MESSAGE.nestedType)) addMessage(fieldsOf(nested), name)
    for (const nested of one.all(MESSAGE.enumType)) addEnum(fieldsOf(nested), name)
  }
  for (const one of file.all(FILE.messageType)) addMessage(fieldsOf(one), scope)
  for (const one of file.all(FILE.enumType)) addEnum(fieldsOf(one), scope)
  for (const one of file.all(FILE.service).map(fieldsOf)) {
    const name = join(scope, one.text(PARENT.name))
    services.push(name)
    symbols.push(name, ...namesIn(one, PARENT.child, name))
  }
  return { name: file.text(FILE.name), imports: file.all(FILE.dependency).map(asText), symbols, services, messages, bytes }
}

const join = (scope: string, name: string): string => (scope === '' ? name : `${scope}.${name}`)

const namesIn = (of: Fields, field: number, scope: string): readonly string[] =>
  of.all(field).map((one) => join(scope, fieldsOf(one).text(LEAF.name)))

const asText = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)

type Fields = { all(number: number): readonly Uint8Array[]; text(number: number): string }

/** The length-delimited fields of a message, by number. */
function fieldsOf(bytes: Uint8Array): Fields {
  const found: [number, Uint8Array][] = []
  const reader = new BinaryReader(bytes)
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag()
    if (type === WireType.LengthDelimited) found.push([number, reader.bytes()])
    else reader.skip(type, number)
  }
  const all = (wanted: number): readonly Uint8Array[] => found.filter(([number]) => number === wanted).map(([, value]) => value)
  return { all, text: (wanted) => asText(all(wanted)[0] ?? new Uint8Array()) }
}
