/** How long this process stood still of late: a timer that comes late was kept from coming. */
const LOOK_MS = 250
/** What came to pass because of a stall comes to light right behind it. */
const LATE_MS = 5_000

export type Stalls = {
  /** The longest of late, in milliseconds. */
  longest(): number
  close(): void
}

export function watchStalls(): Stalls {
  let longest = { ms: 0, endedAt: performance.now() }
  let lookedAt = performance.now()
  const look = (): void => {
    const now = performance.now()
    const ms = Math.max(0, now - lookedAt - LOOK_MS)
    if (ms >= longest.ms || now - longest.endedAt > LATE_MS) longest = { ms, endedAt: now }
    lookedAt = now
  }
  const timer = setInterval(look, LOOK_MS)
  timer.unref()
  return {
    longest() {
      look()
      return longest.ms
    },
    close: () => clearInterval(timer),
  }
}
