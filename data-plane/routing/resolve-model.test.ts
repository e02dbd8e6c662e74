import { expect, test } from 'vitest'
import { hashText } from '../../core/key-hash.ts'
import type { Model } from '../../core/mesh-snapshot.ts'
import { Aim } from './aim.ts'
import { pointOf, possibleTargets, resolveModel, targetRules } from './resolve-model.ts'

const row = (name: string, more: Partial<Model> = {}): Model => ({ name, policy: 'LEAST_WAIT', ...more })
const RULES = targetRules([
  row('llm', {
    aliases: ['gpt', 'chat'],
    split: [{ weight: 80 }, { version: '2', weight: 10 }, { model: 'canary', weight: 10 }],
    fallbacks: ['small', 'tiny'],
  }),
  row('canary', {
    split: [
      { version: '7', weight: 1 },
      { version: '8', weight: 1 },
    ],
    fallbacks: ['llm'],
  }),
  row('small', { aliases: ['s'] }),
  row('plain'),
])

test.each([
  ['a model without a row', 'other', '', 0.5, 'other@ asked'],
  ['a row that says nothing', 'plain', '3', 0.5, 'plain@3 asked'],
  ['an alias', 's', '', 0.5, 'small@ alias'],
  ['the first part of a split', 'llm', '', 0, 'llm@ split'],
  ['its end', 'llm', '', 0.799, 'llm@ split'],
  ['a version', 'llm', '', 0.8, 'llm@2 split'],
  ['another model, whose split is asked with what is left of the draw', 'llm', '', 0.91, 'canary@7 split'],
  ['its other version', 'llm', '', 0.96, 'canary@8 split'],
  ['the last point', 'llm', '', 1 - Number.EPSILON, 'canary@8 split'],
  ['an alias of a model with a split', 'gpt', '', 0.85, 'llm@2 split'],
  ['a version that was asked for, which no split changes', 'llm', '1', 0.99, 'llm@1 asked'],
  ['an alias with a version', 'chat', '5', 0.99, 'llm@5 alias'],
])('%s', (_what, model, version, point, wanted) => {
  const target = resolveModel(RULES, model, version, point)
  expect(`${target.model}@${target.version} ${target.why}`).toBe(wanted)
})

test('ten thousand sessions are split as their weights say', () => {
  const counts = new Map<string, number>()
  for (let session = 0; session < 10_000; session++) {
    const { model, version } = resolveModel(RULES, 'llm', '', pointOf(hashText(`session-${session}`)))
    counts.set(`${model}@${version}`, (counts.get(`${model}@${version}`) ?? 0) + 1)
  }
  for (const [target, share] of [
    ['llm@', 0.8],
    ['llm@2', 0.1],
    ['canary@7', 0.05],
    ['canary@8', 0.05],
  ] as const)
    expect((counts.get(target) ?? 0) / 10_000, target).toBeCloseTo(share, 1)
})

test('what a name may come to mean is every part with a weight, followed to its end', () => {
  const names = (model: string, version = '') => possibleTargets(RULES, model, version).map((one) => `${one.model}@${one.version}`)
  expect(names('gpt')).toEqual(['llm@', 'llm@2', 'canary@7', 'canary@8'])
  expect(names('gpt', '4')).toEqual(['llm@4'])
  expect(names('other')).toEqual(['other@'])
})

const aimed = (model: string, point: number): Aim =>
  Aim.take(RULES, { model, version: '', by: 'inference', inSequence: false }, point, () => 0.5)
const allOf = (aim: Aim): string[] => {
  const seen = [`${aim.target.model}@${aim.target.version}`]
  while (aim.fallBack()) seen.push(`${aim.target.model}@${aim.target.version}`)
  return seen
}

test('fall-backs come in order: of whom the split chose, then of the model that was asked for; nobody twice', () => {
  expect(allOf(aimed('llm', 0))).toEqual(['llm@', 'small@', 'tiny@'])
  expect(allOf(aimed('llm', 0.96))).toEqual(['canary@8', 'small@', 'tiny@'])
  expect(allOf(aimed('canary', 0))).toEqual(['canary@7', 'llm@'])
  expect(allOf(aimed('s', 0))).toEqual(['small@'])
})

test('a target that nobody serves gives way to the first fall-back that somebody does', () => {
  const only = (name: string) => (aim: Aim) => aim.preferServing(({ model }) => model === name)
  const aim = aimed('llm', 0)
  expect([only('llm')(aim), aim.target.model]).toEqual([false, 'llm'])
  expect([only('nobody')(aim), aim.target.model]).toEqual([false, 'llm'])
  expect([only('tiny')(aim), aim.target.model, aim.target.why]).toEqual([true, 'tiny', 'fallback'])
  expect([only('small')(aim), aim.hasFallback], 'small was passed over').toEqual([false, false])
})
