/** The bounds of what is kept of requests, and of waiting before refusal, with the relations between them; part of `limits`. */
import { assert } from './assert.ts'
import { kib, mib, millis, seconds } from './units.ts'

export const admissionLimits = {
  /** Of a request, and over one worker: what is kept until it is sent, and afterwards as long as it may be sent again. */
  retryCopyMax: kib(256),
  retryCopiesMax: mib(256),
  /** Admission, where a model's row asks for it and says nothing else: how many wait, what they hold, how long. */
  queueUsual: 1_000,
  queueBytesUsual: mib(64),
  queueWaitUsual: seconds(5),
  /** And what endpoints get beyond their capacity: at most, and so much that who waits there waits for so long. */
  admissionHeadroom: 1.25,
  admissionHeadroomWait: millis(100),
  /** And what a row may say at most. */
  queueMax: 100_000,
  queueBytesMax: mib(1_024),
  queueWaitMax: seconds(600),
  headroomMax: 10,
  bandsMax: 8,
  /** Tenants that a band remembers; all others share one tenant's part. */
  tenantsMax: 1_000,
  tenantNameMax: 256,
  tenantWeightMax: 1_000_000,
  /** A tenant counts among those who share for so long after it was there, or for as long as a request takes. */
  tenantLingers: seconds(2),
  /** How often a worker looks anew how many requests of a model may be open. Longer than it takes to hear what other workers hold. */
  roomPeriod: millis(100),
  /** While requests wait, the queue is looked at so often also when nothing happened. */
  queueNet: millis(60),
  /** When a caller is told to try again: where nobody can tell, at least, and at most. */
  retryHintUsual: seconds(1),
  retryHintMin: millis(50),
  retryHintMax: seconds(60),
} as const

assert(
  admissionLimits.queueUsual <= admissionLimits.queueMax && admissionLimits.queueBytesUsual <= admissionLimits.queueBytesMax,
  'a row may say what is usual',
)
assert(admissionLimits.queueWaitUsual <= admissionLimits.queueWaitMax, 'a row may say the usual wait')
