import { expect, test } from 'vitest'
import { requireLoopback } from './grpc-serve.ts'
import { UsageError } from './settings.ts'

test.each(['127.0.0.1:0', '127.8.8.8:1', 'localhost:7401', '[::1]:7401'])('%s is loopback', (listen) => {
  expect(() => requireLoopback(listen, 'x')).not.toThrow()
})

test.each(['0.0.0.0:7401', '[::]:7401', '10.0.0.5:7401', 'gpu-a:7401', '127.0.0.1.example.org:1'])(
  '%s is not: refused with the cure',
  (listen) => {
    expect(() => requireLoopback(listen, 'control-plane --listen')).toThrow(UsageError)
    expect(() => requireLoopback(listen, 'control-plane --listen')).toThrow(/no credentials yet.*127\.0\.0\.1/)
  },
)
