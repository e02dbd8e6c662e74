/** Ways of choosing by name: the product's policies in capitals, rivals in small letters. */
import { POLICIES, type PolicyName } from '../../core/mesh-snapshot.ts'
import type { Chooser } from './mesh/proxy.ts'
import { RIVAL_NAMES, RIVALS, type RivalName } from './rivals/all.ts'

export type ChooserName = PolicyName | RivalName

export const CHOOSERS: readonly ChooserName[] = [...POLICIES, ...RIVAL_NAMES]

/** A new one each time: what it remembers is one proxy's. */
export const chooserOf = (name: ChooserName): Chooser =>
  isPolicy(name) ? { kind: 'policy', name } : { kind: 'rival', rival: RIVALS[name]() }

export const isPolicy = (name: ChooserName): name is PolicyName => (POLICIES as readonly string[]).includes(name)
