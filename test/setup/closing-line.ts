import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node'

/** Prints `N passed, N failed` as the run's last line. A file that did not load, or an error outside a test, counts as failed. */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], errors: readonly SerializedError[], reason: TestRunEndReason): void {
    let passed = 0
    let failed = errors.length
    for (const module of modules) {
      const results = [...module.children.allTests()].map((test) => test.result().state)
      passed += results.filter((state) => state === 'passed').length
      const bad = results.filter((state) => state === 'failed').length
      failed += bad === 0 && !module.ok() ? 1 : bad
    }
    if (failed === 0 && (reason !== 'passed' || passed === 0)) failed = 1 // set-up failed, interrupted, or nothing ran
    process.once('exit', () => process.stdout.write(`${passed} passed, ${failed} failed\n`))
  }
}
