// Makes sure that there is a nats-server to test with, by the same way as `millrace up`. A second run finds it at once.
import { findNatsServer } from '../cli/nats-server.ts'

try {
  await findNatsServer((line) => process.stderr.write(`${line}\n`))
} catch (error) {
  process.stderr.write(`${error.message}\n`)
  process.exit(1)
}
