/** The bounds of choosing an endpoint, trying another and leaving one out, with the relations between them; part of `limits`. */
import { assert } from './assert.ts'
import { millis, seconds } from './units.ts'

export const routingLimits = {
  // Trying again
  /** Attempts of one request, unless its model's row says otherwise, and what a row may say. */
  attemptsUsual: 3,
  attemptsMax: 5,
  /** A server that asks for a longer pause is not asked again. */
  retryPauseMax: seconds(10),
  /** Answers that must have begun before it is known which of them is late. */
  hedgeSamplesMin: 100,
  retryTokensMax: 100,
  retryTokensPerSuccess: 0.1,
  // Choosing
  /** What a failed attempt counts as at least, where endpoints are compared by their latency. */
  failureLatency: seconds(5),
  /** An endpoint that PREQUAL looked at is looked at anew after this. */
  probeAgeMax: seconds(1),
  /** Levels of zones: a proxy's own, those that its order names, and all others; and zones that all orders name. */
  zoneLevelsMax: 6,
  zonesNamedMax: 1_000,
  // Outliers: endpoints that connect, and whose answers speak against them, as one worker sees it
  outlierWindow: seconds(10),
  /** Endpoints, times the models they were asked for, that are compared at the end of a window. */
  outlierRowsMax: 4_000,
  outlierFailuresInRow: 5,
  /** Ended attempts of one endpoint within a window; fewer say nothing of its rate of success. */
  outlierAttemptsMin: 20,
  /** With so many endpoints to compare, one is an outlier whose rate lies so many standard deviations below their mean; … */
  outlierPeersMin: 5,
  outlierDeviations: 1.9,
  /** … with any number, one that has less than this part of their median. */
  outlierOfMedian: 0.6,
  /** First bytes that come so many times later than the median of the model's endpoints, and so much, in so many windows one after the other. */
  outlierSlowTimes: 3,
  outlierSlowBy: millis(100),
  outlierSlowSamples: 10,
  outlierSlowPeersMin: 3,
  outlierSlowWindows: 2,
  /** An outlier is left alone for so long, times how often it was one lately. */
  outlierTimeFirst: seconds(30),
  outlierTimeMax: seconds(300),
  /** Of a model's endpoints, those away for whatever cause among them; one may always go where others serve. */
  outlierShareMax: 1 / 3,
  /** Where fewer of a model's endpoints than this part serve, outliers are let back until so many do. */
  outlierPanicShare: 0.5,
  /** An outlier that comes back gets more after so many successes, and not before so long. */
  probationSuccesses: 3,
  probationStep: seconds(5),
  /** The least part of its weight that an endpoint keeps whose answers are all refusals or failures. */
  trustMin: 0.05,
} as const

assert(routingLimits.outlierShareMax < 1 - routingLimits.outlierPanicShare, 'leaving outliers out does not by itself make a panic')
assert(routingLimits.outlierTimeMax >= routingLimits.outlierTimeFirst, 'an outlier that comes again stays away no shorter')
assert(routingLimits.outlierFailuresInRow <= routingLimits.outlierAttemptsMin, 'failures in a row are noticed before rates are compared')
