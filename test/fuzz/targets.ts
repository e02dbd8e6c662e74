/** All that is fuzzed. */
import { differentialTarget, linkTarget } from './differential-target.ts'
import { engineTarget } from './engine-target.ts'
import { fileTarget } from './file-target.ts'
import { grpcTarget } from './grpc-target.ts'
import { meshTarget } from './mesh-target.ts'
import { relayTarget } from './relay-target.ts'
import { severalTarget } from './several-target.ts'
import { smiTarget } from './smi-target.ts'
import type { Target } from './target.ts'

export const TARGETS: readonly Target[] = [
  engineTarget,
  relayTarget,
  severalTarget,
  linkTarget,
  differentialTarget,
  grpcTarget,
  fileTarget,
  smiTarget,
  meshTarget,
]
