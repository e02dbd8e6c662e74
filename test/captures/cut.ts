/**
 * Cuts what the tests and the simulated nvidia-smi need out of full captures: `node test/captures/cut.ts FOLDER`. FOLDER holds `captures/*.txt` (one
 * machine each), `xml/*.xml` and `derived/*.csv`, laid out as the README beside this file says. Nothing is invented: cells, rows and elements are
 * kept as they are or left out; of a process in somebody's home only the last part of its name is kept.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'

const COLUMNS = [
  'timestamp',
  'index',
  'uuid',
  'name',
  'pci.bus_id',
  'driver_version',
  'pstate',
  'utilization.gpu',
  'utilization.memory',
  'memory.total',
  'memory.reserved',
  'memory.used',
  'memory.free',
  'temperature.gpu',
  'temperature.memory',
  'power.draw',
  'power.limit',
  'clocks.current.sm',
  'clocks.max.sm',
  'ecc.errors.corrected.volatile.total',
  'ecc.errors.uncorrected.volatile.total',
  'remapped_rows.pending',
  'clocks_event_reasons.active',
  'mig.mode.current',
  'gpu_recovery_action',
]

/** What the simulated program replays stands where the package takes it from. */
const SIM: Readonly<Record<string, string>> = {
  'linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__idle': 'h100-idle',
  'linux-x86_64__nvidia-h100-80gb-hbm3__590.48.01__load': 'h100-load',
  'linux-x86_64__nvidia-h100-mig__590.48.01__idle': 'h100-mig-idle',
  'linux-x86_64__nvidia-h100-mig__590.48.01__load': 'h100-mig-load',
  'linux-x86_64__nvidia-h200__590.48.01__load': 'h200-load',
  'linux-x86_64__nvidia-l40s__595.80__load': 'l40s-load',
  'linux-x86_64__nvidia-geforce-rtx-4080-super__595.71.05__idle': 'rtx-4080-super-idle',
  'linux-x86_64__nvidia-geforce-rtx-4080-super__595.71.05__load': 'rtx-4080-super-load',
}

const here = import.meta.dirname
const sim = join(here, '../../sim/captures')
const out = join(here, 'nvidia-smi')

/** The lines of the section whose command begins so, in the idle or the load half of a capture. */
function section(text: string, half: 'capabilities' | 'idle' | 'load', command: string): string[] {
  const lines = text.split('\n')
  const at = lines.findIndex((line, i) => line.startsWith(`# ${half} ::`) && (lines[i + 1] ?? '').startsWith(`# $ nvidia-smi ${command}`))
  if (at < 0) throw new Error(`no section "${half}" of ${command}`)
  const rest = lines.slice(at + 3)
  return rest.slice(
    0,
    rest.findIndex((line, i) => line.startsWith('####') || (line === '' && rest[i + 1] === '')),
  )
}

/** What the agent asks of the processes. */
const APP_COLUMNS = ['gpu_uuid', 'pid', 'used_gpu_memory', 'process_name']

function cutColumns(lines: readonly string[], columns: readonly string[]): string {
  const [header, ...rows] = lines.map((line) => line.split(', '))
  const places = columns.map((column) => header?.findIndex((title) => title.replace(/ \[.*/, '') === column) ?? -1)
  if (places.includes(-1)) throw new Error(`no column ${columns[places.indexOf(-1)]}`)
  return `${[header ?? [], ...rows].map((cells) => places.map((at) => cells[at]).join(', ')).join('\n')}\n`
}

const INSTANCE = ['Index', 'GPU Instance ID', 'Compute Instance ID', 'Total', 'Used']

/** A block of the -q text per instance; of its two memories the first is the card's. */
function cutInstances(lines: readonly string[]): string {
  const blocks = lines
    .join('\n')
    .split(/ MIG Device\n/)
    .slice(1)
  const cell = (block: string, title: string): string => new RegExp(`^ +${title} +: (.*)$`, 'm').exec(block)?.[1] ?? ''
  const rows = blocks.map((block) => INSTANCE.map((title) => cell(block, title)).join(', '))
  return `${['index, gpu_instance_id, compute_instance_id, memory.total [MiB], memory.used [MiB]', ...rows].join('\n')}\n`
}

const withoutHome = (lines: readonly string[]): string[] => lines.map((line) => line.replace(/(, )(?:\/root\/|C:\\Users\\)\S*[\\/]/, '$1'))

/** Clocks to choose from fill most of a page, and processes bear the names of people. */
const cutXml = (text: string): string => text.replace(/[ \t]*<(supported_clocks|processes)>[\s\S]*?<\/\1>\r?\n/g, '')

const [from] = process.argv.slice(2)
if (from === undefined) throw new Error('usage: node test/captures/cut.ts FOLDER')
mkdirSync(out, { recursive: true })
for (const file of readdirSync(join(from, 'captures')).filter((name) => name.includes('x86_64'))) {
  const text = readFileSync(join(from, 'captures', file), 'utf8')
  const machine = basename(file, '.txt')
  for (const half of ['idle', 'load'] as const) {
    const name = SIM[`${machine}__${half}`]
    const csv = cutColumns(section(text, half, '--query-gpu='), COLUMNS)
    writeFileSync(name === undefined ? join(out, `${machine}__${half}.csv`) : join(sim, `${name}.csv`), csv)
    const apps = cutColumns(withoutHome(section(text, half, '--query-compute-apps=')), APP_COLUMNS)
    writeFileSync(name === undefined ? join(out, `${machine}__${half}__apps.csv`) : join(sim, `${name}-apps.csv`), apps)
  }
  const migs = SIM[`${machine}__load`]
  if (migs !== undefined && machine.includes('mig'))
    writeFileSync(join(sim, `${migs}-instances.csv`), cutInstances(section(text, 'load', '-q')))
  if (machine.includes('mig')) writeFileSync(join(out, `${machine}__list.txt`), `${section(text, 'capabilities', '-L').join('\n')}\n`)
}
for (const file of readdirSync(join(from, 'xml'))) writeFileSync(join(out, file), cutXml(readFileSync(join(from, 'xml', file), 'utf8')))
const FOUR = 'A100SXMx4-query-gpu.noheader.nounits.csv'
writeFileSync(join(out, 'a100x4-idle.noheader.nounits.csv'), readFileSync(join(from, 'derived', FOUR), 'utf8'))
