/** Plays of shadows: what a second model is sent, and that the client's request is none the wiser. */
import { expect, test } from 'vitest'
import { limits } from '../../core/limits.ts'
import type { Model } from '../../core/mesh-snapshot.ts'
import { headerField } from '../http2/header-field.ts'
import { ERROR } from '../http2/protocol.ts'
import { answer, INFER, message, OK_HEAD, STREAM, type StageOptions, stage } from '../testing/stage.ts'

const row = (name: string, more: Partial<Model> = {}): Model => ({ name, policy: 'ROUND_ROBIN', ...more })
const SHADOWED: StageOptions = {
  models: { a: ['llm'], b: ['next'] },
  rows: [row('llm', { aliases: ['chat'], shadow: { model: 'next', version: '2', share: 0.5 } }), row('next')],
  draws: [0.1, 0.4],
}
const NEXT_TURN_MS = 40

type Play = ReturnType<typeof stage>
const shadowIn = (play: Play): Uint8Array | undefined => play.far('b').bytes.get(play.asked('b'))
const finishClient = (play: Play): void => {
  answer(play.asked('a'), message('out'))
  play.move()
}

test('a share of the requests is sent to another model too, in a later turn and under its name; the client gets its own answer', () => {
  const play = stage(['a', 'b'], { ...SHADOWED, draws: [0.1, 0.4, 0.1, 0.6] })
  play.send(INFER, message('chat', 5_000))
  expect(play.served()).toEqual(['a'])
  finishClient(play)
  play.pass(NEXT_TURN_MS)
  expect(shadowIn(play)).toEqual(Uint8Array.from(message('next', 5_000, { modelVersion: '2' })))
  expect(play.ledger.open).toBe(1)
  answer(play.asked('b'), message('nobody hears this', 200_000))
  play.move()
  expect(play.client.heard).toEqual(['1 head 200,application/grpc', '1 trailers 0'])
  expect(play.tally).toMatchObject({ requests: 1, retries: 0, shadows: { ok: 1, failed: 0, cancelled: 0, skipped: 0 } })
  play.send(INFER, message('llm'))
  play.pass(NEXT_TURN_MS)
  expect(play.served(), 'the second draw is above the share').toEqual(['a', 'a', 'b'])
  finishClient(play)
  play.expectClean()
})

test('a whole message of a stream that stays open is shadowed, and ends there', () => {
  const play = stage(['a', 'b'], SHADOWED)
  const stream = play.send(STREAM, message('llm'), false)
  play.pass(NEXT_TURN_MS)
  expect(shadowIn(play)).toEqual(Uint8Array.from(message('next', 10, { modelVersion: '2' })))
  expect(play.far('b').heard.at(-1)).toBe('1 end')
  answer(play.asked('b'), message('x'))
  stream.sendData(new Uint8Array(0), 0, 0, true)
  play.move()
  finishClient(play)
  expect(play.tally.shadows.ok).toBe(1)
  play.expectClean()
})

test('a copy whose name stands again behind the tensors is not sent under another: the server would go by the last', () => {
  const play = stage(['a', 'b'], SHADOWED)
  const twice = Buffer.concat([message('llm').subarray(5), Buffer.from([0x0a, 3]), Buffer.from('llm')])
  const framed = Buffer.concat([Buffer.alloc(5), twice])
  framed.writeUInt32BE(twice.length, 1)
  play.send(INFER, framed)
  play.pass(NEXT_TURN_MS)
  expect([play.served(), play.tally.shadows.skipped]).toEqual([['a'], 1])
  finishClient(play)
  play.expectClean()
})

test('a shadow that fails, says no or hangs is not asked again, and ends within its bound', () => {
  const play = stage(['a', 'b'], { ...SHADOWED, draws: Array.from({ length: 8 }, () => 0.1) })
  const troubles = [
    () => play.asked('b').reset(ERROR.INTERNAL_ERROR),
    () => play.asked('b').sendHead([...OK_HEAD, headerField('grpc-status', '14')], true),
    () => play.backs.get('b')?.near.connection.lose('broken'),
  ]
  for (const trouble of troubles) {
    play.send(INFER, message('llm'))
    finishClient(play)
    play.pass(NEXT_TURN_MS)
    trouble()
    play.move()
  }
  expect(play.served().filter((name) => name === 'b')).toHaveLength(troubles.length)
  expect(play.tally).toMatchObject({ retries: 0, shadows: { failed: troubles.length } })
  expect(new Set(play.tally.byStatus.slice(1))).toEqual(new Set([0]))
})

test('one that hangs is cancelled at the end of its life, and counts as burning for a while', () => {
  const play = stage(['a', 'b'], SHADOWED)
  play.send(INFER, message('llm'))
  finishClient(play)
  play.pass(NEXT_TURN_MS)
  play.pass(limits.shadowLifeMax)
  expect(play.far('b').heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
  expect(play.tally.shadows.cancelled).toBe(1)
  play.ledger.expire(play.later())
  play.expectClean()
})

test('it has no more time than the client’s request has', () => {
  const play = stage(['a', 'b'], SHADOWED)
  play.send(INFER, message('llm'), true, headerField('grpc-timeout', '100m'))
  play.pass(NEXT_TURN_MS)
  play.pass(100)
  expect(play.far('b').heard.at(-1)).toBe(`1 reset ${ERROR.CANCEL}`)
})

test('what cannot be kept whole, or would go beyond the bounds, is left out and counted', () => {
  const long = stage(['a', 'b'], SHADOWED)
  const body = message('llm', 2 * limits.retryCopyMax)
  const stream = long.send(INFER, undefined, false)
  for (let at = 0; at < body.length; at += 10_000) {
    stream.sendData(body, at, Math.min(at + 10_000, body.length), at + 10_000 >= body.length)
    long.move()
  }
  finishClient(long)
  long.pass(NEXT_TURN_MS)
  expect([long.served(), long.tally.shadows.skipped]).toEqual([['a'], 1])
  long.expectClean()

  const nobody = stage(['a'], SHADOWED)
  nobody.send(INFER, message('llm'))
  nobody.pass(NEXT_TURN_MS)
  finishClient(nobody)
  expect(nobody.tally.shadows.skipped).toBe(1)
  nobody.expectClean()

  const full = stage(['a', 'b'], { ...SHADOWED, draws: Array.from({ length: 2 * limits.shadowsMax + 2 }, () => 0.1) })
  for (let count = 0; count <= limits.shadowsMax; count++) {
    full.send(INFER, message('llm'))
    finishClient(full)
  }
  expect([full.service.shadows.open, full.tally.shadows.skipped]).toEqual([limits.shadowsMax, 1])
})

test('a sequence and a question about a model have no shadow', () => {
  const play = stage(['a', 'b'], { ...SHADOWED, draws: [0.1, 0.1, 0.1, 0.1] })
  play.send(INFER, message('llm', 10, { parameters: { sequence_id: { parameterChoice: { $case: 'stringParam', value: 's' } } } }))
  play.send('/inference.GRPCInferenceService/ModelMetadata', message('llm'))
  play.pass(NEXT_TURN_MS)
  expect(play.served()).toEqual(['a', 'a'])
})
