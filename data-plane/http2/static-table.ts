/** The static table of HPACK (RFC 7541, appendix A): both sides know it, so an index up to 61 means the same on every connection. */

/** `name` or `name: value`, in the order of their indexes, which begin at 1. */
// biome-ignore format: as the RFC groups them
const LINES: readonly string[] = [
  ':authority', ':method: GET', ':method: POST', ':path: /', ':path: /index.html', ':scheme: http', ':scheme: https',
  ':status: 200', ':status: 204', ':status: 206', ':status: 304', ':status: 400', ':status: 404', ':status: 500',
  'accept-charset', 'accept-encoding: gzip, deflate', 'accept-language', 'accept-ranges', 'accept', 'access-control-allow-origin',
  'age', 'allow', 'authorization', 'cache-control', 'content-disposition', 'content-encoding', 'content-language', 'content-length',
  'content-location', 'content-range', 'content-type', 'cookie', 'date', 'etag', 'expect', 'expires', 'from', 'host', 'if-match',
  'if-modified-since', 'if-none-match', 'if-range', 'if-unmodified-since', 'last-modified', 'link', 'location', 'max-forwards',
  'proxy-authenticate', 'proxy-authorization', 'range', 'referer', 'refresh', 'retry-after', 'server', 'set-cookie',
  'strict-transport-security', 'transfer-encoding', 'user-agent', 'vary', 'via', 'www-authenticate',
]

export type StaticEntry = { readonly index: number; readonly name: string; readonly value: string }

export const STATIC_ENTRIES: readonly StaticEntry[] = LINES.map((line, i) => {
  const [name = '', value = ''] = line.split(': ')
  return { index: i + 1, name, value }
})

export const STATIC_COUNT = STATIC_ENTRIES.length

/** The entries of each name, lowest index first. */
export const STATIC_BY_NAME: ReadonlyMap<string, readonly StaticEntry[]> = Map.groupBy(STATIC_ENTRIES, (entry) => entry.name)
