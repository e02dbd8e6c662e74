/**
 * ModelInfer and ModelStreamInfer of the simulated server. What is wrong with a request before it runs ends a unary call with a status, and is a message
 * of a stream that goes on, unless the caller asked for `triton_grpc_error`. Requests of one stream run side by side; its status comes when it was
 * half-closed and all of them have ended. A client that leaves frees its slots.
 */
import { ModelInferRequest } from '../../proto/gen/inference/grpc_service.ts'
import type { Engine, Job } from './engine.ts'
import { type Call, type Method, STATUS } from './grpc-http2.ts'
import { type Ask, parseAsk } from './parse-request.ts'
import { STORY_TOKENS } from './story.ts'
import { emptyFinalFrame, StreamAnswer, streamErrorFrame, unaryFrame } from './token-message.ts'

type Refused = { readonly status: number; readonly message: string; readonly id: string }

/** Of one stream, started and not ended. */
const REQUESTS_PER_STREAM_MAX = 10_000

function readAsk(engine: Engine, message: Buffer): Ask | Refused {
  let request: ModelInferRequest
  try {
    request = ModelInferRequest.decode(message)
  } catch (error) {
    return { status: STATUS.INVALID_ARGUMENT, message: `illegal ModelInferRequest: ${(error as Error).message}`, id: '' }
  }
  const { id, modelName } = request
  if (!engine.tallies.has(modelName))
    return { status: STATUS.NOT_FOUND, message: `Request for unknown model: '${modelName}' is not found`, id }
  const ask = parseAsk(request, STORY_TOKENS)
  return 'wrong' in ask ? { status: STATUS.INVALID_ARGUMENT, message: ask.wrong, id } : ask
}

const QUEUE_FULL = 'Exceeds maximum queue size'

export const modelInfer =
  (engine: Engine): Method =>
  (call) => {
    let job: Job | undefined
    call.onEnd(() => job !== undefined && engine.cancel(job))
    return {
      onMessage(message) {
        if (job !== undefined) return
        const ask = readAsk(engine, message)
        if ('status' in ask) return call.finish(ask.status, ask.message)
        job = {
          model: ask.model,
          tokens: ask.tokens,
          onToken(_index, last) {
            if (!last) return
            call.send(unaryFrame(ask.model, ask.id, ask.tokens))
            call.finish(STATUS.OK)
          },
          onBreak: (mode) => call.break(mode),
        }
        if (!engine.submit(job)) call.finish(STATUS.UNAVAILABLE, QUEUE_FULL)
      },
      onHalfClose() {
        if (job === undefined) call.finish(STATUS.INTERNAL, 'the call ended without a request')
      },
    }
  }

export const modelStreamInfer =
  (engine: Engine): Method =>
  (call) => {
    const jobs = new Set<Job>()
    const held = new Set<Job>()
    const errorsEndTheStream = call.headers.triton_grpc_error === 'true'
    let halfClosed = false
    const finishIfDone = (): void => {
      if (halfClosed && jobs.size === 0) call.finish(STATUS.OK)
    }
    const refuse = ({ status, message, id }: Refused): void => {
      if (errorsEndTheStream) call.finish(status, message)
      else call.send(streamErrorFrame(message, id))
    }
    call.onDrain(() => {
      for (const job of held) engine.resume(job)
      held.clear()
    })
    call.onEnd(() => {
      for (const job of jobs) engine.cancel(job)
      jobs.clear()
      held.clear()
    })
    return {
      onMessage(message) {
        const ask = readAsk(engine, message)
        if ('status' in ask) return refuse(ask)
        const job = streamJob(call, ask, {
          onSlowReader(slow) {
            held.add(slow)
            engine.hold(slow)
          },
          onDone(ended) {
            jobs.delete(ended)
            finishIfDone()
          },
        })
        if (jobs.size >= REQUESTS_PER_STREAM_MAX || !engine.submit(job))
          refuse({ status: STATUS.UNAVAILABLE, message: QUEUE_FULL, id: ask.id })
        else jobs.add(job)
      },
      onHalfClose() {
        halfClosed = true
        finishIfDone()
      },
    }
  }

type JobEvents = { onSlowReader(job: Job): void; onDone(job: Job): void }

function streamJob(call: Call, ask: Ask, events: JobEvents): Job {
  const answer = new StreamAnswer(ask.model, ask.id)
  const job: Job = {
    model: ask.model,
    tokens: ask.tokens,
    onToken(index, last) {
      const keepsUp = call.send(answer.token(index, last && !ask.emptyFinal))
      if (last) {
        if (ask.emptyFinal) call.send(emptyFinalFrame(ask.model, ask.id))
        events.onDone(job)
      } else if (!keepsUp) events.onSlowReader(job)
    },
    onBreak: (mode) => call.break(mode),
  }
  return job
}
