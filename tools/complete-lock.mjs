// Adds to package-lock.json the optional platform packages that the registry at hand does not serve,
// so that `npm ci` of npm >= 11 accepts the lock (it refuses one that lacks them) and other platforms still fetch theirs.
import { readFileSync, writeFileSync } from 'node:fs'

const file = process.argv[2] ?? 'package-lock.json'
const lock = JSON.parse(readFileSync(file, 'utf8'))
const OS = ['darwin', 'linux', 'win32', 'android', 'freebsd', 'openbsd', 'netbsd', 'sunos', 'aix', 'openharmony']
const CPU = {
  x64: 'x64',
  arm64: 'arm64',
  aarch64: 'arm64',
  armv7: 'arm',
  arm: 'arm',
  ia32: 'ia32',
  ppc64: 'ppc64',
  s390x: 's390x',
  riscv64: 'riscv64',
}
let added = 0
for (const [at, p] of Object.entries(lock.packages))
  for (const [name, range] of Object.entries(p.optionalDependencies ?? {})) {
    const resolves =
      at
        .split('/node_modules/')
        .map((_, i, a) => a.slice(0, a.length - i).join('/node_modules/'))
        .some((base) => lock.packages[`${base}/node_modules/${name}`]) || lock.packages[`node_modules/${name}`]
    if (resolves) continue
    if (!/^\d/.test(range)) {
      console.error(`skipped ${name}@${range}: not an exact version`)
      continue
    }
    const words = name.split('/').at(-1).split('-')
    const os = OS.filter((o) => words.includes(o)),
      cpu = words.flatMap((w) => CPU[w] ?? [])
    if (os.length !== 1 || cpu.length !== 1) {
      console.error(`skipped ${name}: no os/cpu in its name`)
      continue
    }
    lock.packages[`node_modules/${name}`] = {
      version: range,
      cpu,
      ...(p.dev && { dev: true }),
      optional: true,
      os,
      ...(words.includes('musl') && { libc: ['musl'] }),
    }
    added++
    console.log(`+ ${name}@${range} os=${os} cpu=${cpu}`)
  }
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)))
writeFileSync(file, `${JSON.stringify(lock, null, 2)}\n`)
console.log(`${added} added`)
