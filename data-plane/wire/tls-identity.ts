/**
 * Who a certificate is for: its subject alternative names, compared with the names that somebody allows. An allowed name with `://` is a URI, compared
 * with the certificate's URIs: exactly, or as a prefix where it ends in `/*`. Any other is a DNS name: exactly, or for one label where it begins with
 * `*.`. The common name of the subject counts for nothing.
 */

export type Names = { readonly dns: readonly string[]; readonly uris: readonly string[] }

/** From the text that node makes of the extension: `DNS:a, URI:spiffe://b/c`, where a value with a comma stands in quotes as JSON. */
export function namesOf(subjectAltName: string | undefined): Names {
  const dns: string[] = []
  const uris: string[] = []
  for (const [, kind, value = ''] of (subjectAltName ?? '').matchAll(/\s*([^:,"]+):("(?:[^"\\]|\\.)*"|[^,]*)(?:,|$)/g)) {
    const name = value.startsWith('"') ? unquoted(value) : value
    if (kind === 'DNS') dns.push(name.toLowerCase())
    else if (kind === 'URI') uris.push(name)
  }
  return { dns, uris }
}

/** The first of the certificate's names that one of the allowed ones fits. */
export function allowedName(names: Names, allowed: readonly string[]): string | undefined {
  for (const one of allowed) {
    const found = one.includes('://')
      ? names.uris.find((uri) => fitsUri(uri, one))
      : names.dns.find((name) => fitsDns(name, one.toLowerCase()))
    if (found !== undefined) return found
  }
  return undefined
}

/** For messages: everything that the certificate calls itself. */
export const describeNames = (names: Names): string => [...names.uris, ...names.dns].join(', ') || 'no DNS name and no URI'

/** Undefined when `text` is an identity that a setting may hold; else what is wrong with it. */
export function identityProblem(text: string): string | undefined {
  const stars = text.split('*').length - 1
  if (text.includes('://'))
    return stars === 0 || (stars === 1 && text.endsWith('/*') && text.length > text.indexOf('://') + 4)
      ? undefined
      : 'a URI is exact, or ends in /* for all that is below'
  if (!/^(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$/.test(text)) return 'wants a DNS name, *.name, a URI, or a URI that ends in /*'
  return undefined
}

function fitsUri(uri: string, allowed: string): boolean {
  if (!allowed.endsWith('/*')) return uri === allowed
  const prefix = allowed.slice(0, -1)
  return uri.startsWith(prefix) && uri.length > prefix.length && !uri.includes('/../')
}

function fitsDns(name: string, allowed: string): boolean {
  if (!allowed.startsWith('*.')) return name === allowed
  const dot = name.indexOf('.')
  return dot > 0 && name.slice(dot) === allowed.slice(1) && !name.startsWith('*')
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text))
  } catch {
    return ''
  }
}
