/** The bounds of what rows say of where requests go; part of `limits`. */
import { assert } from './assert.ts'
import { kib, mib, seconds } from './units.ts'

export const targetLimits = {
  /** Of one model's row. */
  aliasesPerModelMax: 64,
  splitPartsMax: 64,
  fallbacksMax: 8,
  /** The name of a model or a version that a row gives; a longer one is no request's either. */
  modelNameMax: 1_024,
  /** A compressed message that goes on under another name is held whole and inflated: up to this size, before and after. */
  renamedCompressedMax: kib(256),
  renamedInflatedMax: mib(1),
  /** Of one worker: shadows that are open at once, what they hold of requests, and how long one may last. */
  shadowsMax: 256,
  shadowCopiesMax: mib(32),
  shadowLifeMax: seconds(60),
} as const

assert(targetLimits.modelNameMax < 2 ** 12, 'the length of a name in UTF-8 takes two bytes at most')
