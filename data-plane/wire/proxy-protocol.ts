/**
 * The PROXY protocol, version 2: a load balancer says in front of the first bytes whom it speaks for. Read only from those who are named in the
 * settings, and then required of them, since a reader that guesses can be lied to. Version 1 is not read. What follows the address (TLVs) is skipped.
 */
import { BlockList, isIP } from 'node:net'
import { limits } from '../../core/limits.ts'

/** `length` of the bytes belong to the header. `client` is absent when the balancer speaks for itself, as its health checks do. */
export type ProxyHeader = { readonly length: number; readonly client?: string }

const HEAD = 16
const VERSION_2 = 0x20
const LOCAL = 0x0
const PROXIED = 0x1
/** Address blocks by family and transport; datagrams have no business on a listener of streams. */
const UNSPECIFIED = 0x00
const TCP4 = { code: 0x11, length: 12 }
const TCP6 = { code: 0x21, length: 36 }
const UNIX_STREAM = { code: 0x31, length: 216 }

/** The signature has been seen. Never reads beyond `length`. */
export function readProxyHeader(bytes: Buffer, length: number): ProxyHeader | 'more' | 'malformed' {
  if (length < HEAD) return 'more'
  const command = (bytes[12] as number) - VERSION_2
  const family = bytes[13] as number
  const rest = bytes.readUInt16BE(14)
  const whole = HEAD + rest
  if ((command !== LOCAL && command !== PROXIED) || whole > limits.proxyHeaderMax) return 'malformed'
  if (length < whole) return 'more'
  if (command === LOCAL || family === UNSPECIFIED) return { length: whole }
  if (family === TCP4.code && rest >= TCP4.length)
    return { length: whole, client: `${bytes.subarray(HEAD, HEAD + 4).join('.')}:${bytes.readUInt16BE(HEAD + 8)}` }
  if (family === TCP6.code && rest >= TCP6.length)
    return { length: whole, client: `[${ipv6(bytes.subarray(HEAD, HEAD + 16))}]:${bytes.readUInt16BE(HEAD + 32)}` }
  if (family === UNIX_STREAM.code && rest >= UNIX_STREAM.length) return { length: whole, client: 'unix' }
  return 'malformed'
}

function ipv6(bytes: Buffer): string {
  const groups = Array.from({ length: 8 }, (_, i) => bytes.readUInt16BE(2 * i).toString(16))
  return groups.join(':')
}

/** `10.0.0.0/8`, `fd00::/8`, or one address. Undefined when it is neither. */
export function parseRange(
  text: string,
): { readonly address: string; readonly bits: number; readonly family: 'ipv4' | 'ipv6' } | undefined {
  const [address = '', bits, ...more] = text.split('/')
  const version = isIP(address)
  if (version === 0 || more.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits))) return undefined
  const most = version === 4 ? 32 : 128
  const count = bits === undefined ? most : Number(bits)
  return count > most ? undefined : { address, bits: count, family: version === 4 ? 'ipv4' : 'ipv6' }
}

/** Who must send the header. */
export class ProxyRanges {
  readonly #list = new BlockList()

  constructor(ranges: readonly string[]) {
    for (const text of ranges) {
      const range = parseRange(text)
      if (range !== undefined) this.#list.addSubnet(range.address, range.bits, range.family)
    }
  }

  has(address: string): boolean {
    const version = isIP(address)
    return version !== 0 && this.#list.check(address, version === 4 ? 'ipv4' : 'ipv6')
  }
}
