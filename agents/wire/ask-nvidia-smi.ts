/**
 * Puts single questions to nvidia-smi beside the run that keeps telling. Always holds: one question at a time; each has a deadline; while one that is past
 * it has not gone (it hangs in the driver, and cannot be killed there), or the rows have stopped, nothing else is asked.
 */
import { spawn } from 'node:child_process'
import { limits } from '../../core/limits.ts'

export type SmiAnswer =
  /** Whatever its exit code: a warning about one GPU ends a run with a code, and the others are told of all the same. */
  | { readonly kind: 'said'; readonly text: string }
  /** In words. */
  | { readonly kind: 'nothing'; readonly reason: string }

export type SmiAsker = {
  ask(argv: readonly string[]): Promise<SmiAnswer>
  close(): Promise<void>
}

export type SmiAskerOptions = {
  /** A name on PATH, or a path. */
  readonly program: string
  /** False while the run beside it is silent. */
  readonly mayAsk: () => boolean
}

export function smiAsker({ program, mayAsk }: SmiAskerOptions): SmiAsker {
  let last: Promise<unknown> = Promise.resolve()
  let waiting = 0
  let current: Child | undefined
  let closed = false

  const askNow = async (argv: readonly string[]): Promise<SmiAnswer> => {
    if (closed) return nothing('the agent stops')
    if (current !== undefined) return nothing('an earlier nvidia-smi hangs')
    if (!mayAsk()) return nothing('nvidia-smi does not answer now')
    const child = start(program, argv)
    current = child
    void child.gone.then(() => {
      current = undefined
    })
    return child.answer
  }
  return {
    async ask(argv) {
      if (waiting > limits.smiAsksWaitingMax) return nothing('too many questions wait for nvidia-smi')
      waiting++
      const answer = last.then(() => askNow(argv))
      last = answer
      try {
        return await answer
      } finally {
        waiting--
      }
    },
    async close() {
      closed = true
      current?.kill()
      await last
    },
  }
}

const nothing = (reason: string): SmiAnswer => ({ kind: 'nothing', reason })

type Child = {
  /** By the deadline at the latest, also of a child that cannot be killed. */
  readonly answer: Promise<SmiAnswer>
  /** When nothing is left of it. */
  readonly gone: Promise<void>
  kill(): void
}

function start(program: string, argv: readonly string[]): Child {
  const child = spawn(program, argv, { stdio: ['ignore', 'pipe', 'ignore'], env: { ...process.env, LC_ALL: 'C' } })
  const answer = Promise.withResolvers<SmiAnswer>()
  const gone = Promise.withResolvers<void>()
  const parts: Buffer[] = []
  let size = 0
  const giveUp = (reason: string): void => {
    child.kill('SIGKILL')
    answer.resolve(nothing(reason))
  }
  const deadline = setTimeout(() => giveUp(`nvidia-smi has not answered within ${limits.smiAskMax / 1000} s`), limits.smiAskMax)
  const end = (last: SmiAnswer): void => {
    clearTimeout(deadline)
    answer.resolve(last)
    gone.resolve()
  }
  child.stdout.on('data', (part: Buffer) => {
    size += part.length
    if (size > limits.smiAnswerMax) giveUp('nvidia-smi says more than it may')
    else parts.push(part)
  })
  child.once('error', (error) => {
    if (child.pid === undefined) end(nothing(`${program}: ${error.message}`))
  })
  child.once('close', () => end({ kind: 'said', text: Buffer.concat(parts).toString('utf8') }))
  return { answer: answer.promise, gone: gone.promise, kill: () => giveUp('the agent stops') }
}
