/** Something that comes and goes, such as throttling. It lasts from its first sign until it has been away for a while: what flutters is one episode. */
import type { Millis } from '../../core/units.ts'

export type Episode = { readonly since: Millis /** While it pauses. */; readonly pausedAt?: Millis }

export const lasts = (episode: Episode | undefined, pauseMax: Millis, now: Millis): episode is Episode =>
  episode !== undefined && (episode.pausedAt === undefined || now - episode.pausedAt < pauseMax)

export function stepEpisode(episode: Episode | undefined, on: boolean, pauseMax: Millis, now: Millis): Episode | undefined {
  const lasting = lasts(episode, pauseMax, now) ? episode : undefined
  if (on) return lasting?.pausedAt === undefined ? (lasting ?? { since: now }) : { since: lasting.since }
  if (lasting === undefined || lasting.pausedAt !== undefined) return lasting
  return { since: lasting.since, pausedAt: now }
}
