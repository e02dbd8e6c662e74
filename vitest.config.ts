import { defineConfig } from 'vitest/config'

/**
 * How long anything is waited for. A good run waits no longer for it: only one that hangs does, and a machine that works on other things too is slow, not
 * wrong. On its first use the real Triton is set up within a hook, which takes minutes where the network is slow.
 */
const PATIENCE = { poll: 20_000, unit: 60_000, mesh: 240_000, meshHook: 600_000 }

export default defineConfig({
  test: {
    expect: { poll: { timeout: PATIENCE.poll } },
    reporters: ['default', './test/setup/closing-line.ts'],
    globalSetup: ['./test/setup/right-node.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{core,control-plane,data-plane,agents,sim,cli}/**/*.test.ts', 'test/*.test.ts'],
          testTimeout: PATIENCE.unit,
          hookTimeout: PATIENCE.unit,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'mesh',
          include: ['test/{mesh,fuzz}/**/*.test.ts'],
          testTimeout: PATIENCE.mesh,
          hookTimeout: PATIENCE.meshHook,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
