import type { Clock } from '../clock.ts'
import { millis } from '../units.ts'

export const systemClock: Clock = { now: () => millis(performance.now()) }
