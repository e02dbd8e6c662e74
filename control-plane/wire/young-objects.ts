/**
 * One setting of V8 for a control plane. V8 learns that objects of a kind live long and then makes all of that kind in the old space, where only a full
 * collection finds those that the next report replaces half a second later. Kept young they are gone before they are old, and full collections, in which
 * nobody hears of a failure, come more seldom.
 */
import { setFlagsFromString } from 'node:v8'

/** To be called before anything is learned. */
export const keepYoung = (): void => setFlagsFromString('--no-allocation-site-pretenuring')
