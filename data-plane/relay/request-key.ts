/** With which others a request belongs together, as the row of its model says. The texts themselves are kept nowhere, only 32 bits of a hash. */
import { hashBytes, mix } from '../../core/key-hash.ts'
import { type HashOn, SESSION_HEADER } from '../../core/mesh-snapshot.ts'
import type { RequestHead } from '../grpc/request-head.ts'
import type { RequestScanner } from '../grpc/request-scanner.ts'
import type { AdapterRule } from '../routing/near-adapter.ts'

type Asked = { readonly head: RequestHead; readonly scanner: RequestScanner | undefined }

/** Undefined when the request does not say, or says nothing by it. */
export function keyOf({ head, scanner }: Asked, on: HashOn | undefined): number | undefined {
  if (on !== undefined && 'parameter' in on) return scanner?.parameter(on.parameter)
  const field = on === undefined || on.header === SESSION_HEADER ? head.session : head.forward.find(({ name }) => name === on.header)
  return field === undefined || field.value.length === 0 ? undefined : mix(hashBytes(field.value))
}

/** The LoRA adapter that a request is for. */
export function adapterOf({ scanner }: Asked, rule: AdapterRule | undefined): number | undefined {
  if (rule === undefined) return undefined
  return 'key' in rule ? rule.key : scanner?.parameter(rule.parameter)
}
