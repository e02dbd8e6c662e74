/**
 * Which scene is played, and how far it has come. A file named by MILLRACE_SIM_SCENE_FILE changes the scene of a host while it runs: it holds a scene's
 * name and is read each round. The new scene begins when the file was written, for the loop and for single questions alike; without a file a loop
 * counts its rounds, and a single question sees the first.
 */
import { readFileSync, statSync } from 'node:fs'
import { UsageError } from '../../core/edge/settings.ts'
import { readApps, type SimApp } from './captures.ts'
import { findScene, type Round, SCENES, type Scene } from './scenes.ts'

/** As often as the agent lets the loop print. */
const ROUND_MS = 250

export type Stage = {
  /** Said on stderr. */
  readonly name: string
  next(): { readonly scene: Scene; readonly round: Round }
  /** Processes that a test put there, or those of the capture. */
  apps(scene: Scene): readonly SimApp[]
}

type Environment = Readonly<Record<string, string | undefined>>

export function openStage(environment: Environment, now: () => number): Stage {
  const seed = environment.MILLRACE_SIM_GPU_SEED ?? 'simulated'
  const sceneFile = environment.MILLRACE_SIM_SCENE_FILE
  const find = (name: string, from: string): Scene => {
    const scene = findScene(name, seed)
    if (scene === undefined) throw new UsageError(`${from} "${name}" is none of ${SCENES.join(', ')}`)
    return scene
  }
  let name = environment.MILLRACE_SIM_CAPTURE ?? 'h100'
  let scene = find(name, 'MILLRACE_SIM_CAPTURE')
  let count = 0
  let writtenAt: number | undefined
  const look = (): number => {
    const written = sceneFile === undefined ? undefined : readScene(sceneFile)
    if (written !== undefined) {
      if (written.name !== name) scene = find(written.name, 'MILLRACE_SIM_SCENE_FILE')
      name = written.name
      writtenAt = written.at
    }
    return writtenAt === undefined ? count++ : Math.max(0, Math.floor((now() - writtenAt) / ROUND_MS))
  }
  return {
    name: sceneFile === undefined ? name : (readScene(sceneFile)?.name ?? name),
    next() {
      const at = look()
      return { scene, round: scene.round(at) }
    },
    apps: ({ apps }) => (environment.MILLRACE_SIM_APPS_FILE === undefined ? apps : readAppsFile(environment.MILLRACE_SIM_APPS_FILE)),
  }
}

/** A file that is being written, or is not there yet, changes nothing. */
function readScene(path: string): { readonly name: string; readonly at: number } | undefined {
  try {
    const at = statSync(path).mtimeMs
    const name = readFileSync(path, 'utf8').trim()
    return name === '' ? undefined : { name, at }
  } catch {
    return undefined
  }
}

/** A line each: index of the GPU, pid, memory in MiB, name. */
const readAppsFile = (path: string): SimApp[] =>
  readApps(
    readFileSync(path, 'utf8')
      .split('\n')
      .filter((line) => line.trim() !== ''),
    Number,
  )
