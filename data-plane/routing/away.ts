/** Why a worker keeps away from an endpoint that the control plane lets it ask. */

/** By its answers: it failed so many times in a row, fails more than its peers do, or begins to answer far later than they. */
export const OUTLIER_REASONS = ['failures-in-row', 'success-rate', 'latency'] as const
export type OutlierReason = (typeof OUTLIER_REASONS)[number]

/** `connection`: its connections are refused or break. */
export type AwayReason = 'connection' | OutlierReason
