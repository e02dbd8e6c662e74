/** What became of the sockets that came: counted by what they speak, and by why they were turned away. */

export const ARRIVALS = ['http2', 'http1', 'tls', 'proxied'] as const
export const REJECTIONS = [
  /** Too little came within the time for saying what one speaks. */
  'silent',
  'unknown-protocol',
  /** TLS is wanted on this port. */
  'clear-text',
  'tls-off',
  'proxy-header-malformed',
  'proxy-header-missing',
  'proxy-header-unwanted',
  'http1-full',
  'handshake-failed',
  'handshake-timeout',
  'handshakes-full',
  /** None, or none that an authority of ours has signed and that is valid now. */
  'client-certificate',
  'client-identity',
] as const

export type Arrival = (typeof ARRIVALS)[number]
export type Rejection = (typeof REJECTIONS)[number]
export type FrontTally = { readonly arrived: Record<Arrival, number>; readonly rejected: Record<Rejection, number> }

export const newFrontTally = (): FrontTally => ({
  arrived: Object.fromEntries(ARRIVALS.map((name) => [name, 0])) as Record<Arrival, number>,
  rejected: Object.fromEntries(REJECTIONS.map((name) => [name, 0])) as Record<Rejection, number>,
})
