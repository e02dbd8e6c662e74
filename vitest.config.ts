import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    reporters: ['default', './test/setup/closing-line.ts'],
    globalSetup: ['./test/setup/right-node.ts'],
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['{core,control-plane,data-plane,agents,sim,cli}/**/*.test.ts', 'test/*.test.ts'],
          testTimeout: 10_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'mesh',
          include: ['test/{mesh,fuzz}/**/*.test.ts'],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          maxWorkers: 1,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})
