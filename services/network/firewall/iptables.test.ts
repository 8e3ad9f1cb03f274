import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { planAccept, readAccepts, readForward } from './iptables.ts'

const forward = (policy: string, ...rules: string[]): string =>
  `table ip filter {\n\tchain FORWARD { # handle 1\n\t\ttype filter hook forward priority filter; policy ${policy};\n${rules
    .map((rule, i) => `\t\t${rule} # handle ${i + 2}\n`)
    .join('')}\t}\n}\n`
const JUMP = 'counter packets 0 bytes 0 jump GANTRY'

describe('FORWARD of iptables', () => {
  for (const [name, listing, drops, jumps] of [
    ['accepts all', forward('accept'), false, false],
    ['only accepts', forward('accept', 'ct state established counter packets 1 bytes 2 accept'), false, false],
    ['only calls us', forward('accept', JUMP), false, true],
    ['drops by policy', forward('drop'), true, false],
    ['drops by policy, and calls us', forward('drop', JUMP), true, true],
    [
      'rejects by its last rule',
      forward('accept', 'counter packets 0 bytes 0 reject with icmp type host-prohibited'),
      true,
      false,
    ],
    ['drops something', forward('accept', 'ip saddr 10.0.0.1 counter packets 0 bytes 0 drop'), true, false],
    ['leads elsewhere', forward('accept', 'counter packets 0 bytes 0 jump DOCKER-USER'), true, false],
    ["calls another engine's chain", forward('accept', 'counter packets 0 bytes 0 jump GANTRY-G1'), true, false],
  ] as const) {
    test(name, () => assert.deepEqual(readForward(listing, 'GANTRY'), { drops, jumps }))
  }
})

describe('our chain in it', () => {
  const listing = `table ip filter {
	chain GANTRY { # handle 9
		iifname "br-a" counter packets 10 bytes 20 accept # handle 10
		oifname "br-a" counter packets 0 bytes 0 accept # handle 11
		ip saddr 10.0.0.1 counter packets 0 bytes 0 accept # handle 12
	}
}
`
  const accepts = readAccepts(listing)
  const drops = { drops: true, jumps: false }

  test('is read with its handles', () =>
    assert.deepEqual(
      [...accepts],
      [
        [10, 'iifname "br-a"'],
        [11, 'oifname "br-a"'],
        [12, ''],
      ],
    ))

  test('is left alone where nothing drops', () =>
    assert.equal(planAccept('ip', 'GANTRY', { drops: false, jumps: false }, undefined, ['br-a']), ''))

  test('is made where something does', () =>
    assert.equal(
      planAccept('ip6', 'GANTRY', drops, undefined, ['br-a']),
      [
        'add chain ip6 filter GANTRY',
        'add rule ip6 filter GANTRY iifname "br-a" counter accept',
        'add rule ip6 filter GANTRY oifname "br-a" counter accept',
        'insert rule ip6 filter FORWARD counter jump GANTRY',
        '',
      ].join('\n'),
    ))

  test('changes only by what is new, and what is not ours goes', () =>
    assert.equal(
      planAccept('ip', 'GANTRY', { drops: true, jumps: true }, accepts, ['br-a', 'br-b']),
      [
        'delete rule ip filter GANTRY handle 12',
        'add rule ip filter GANTRY iifname "br-b" counter accept',
        'add rule ip filter GANTRY oifname "br-b" counter accept',
        '',
      ].join('\n'),
    ))

  test('changes only by what is gone', () => {
    const ours = new Map([...accepts].filter(([handle]) => handle !== 12))
    assert.equal(planAccept('ip', 'GANTRY', { drops: true, jumps: true }, ours, ['br-a']), '')
    assert.equal(
      planAccept('ip', 'GANTRY', { drops: false, jumps: true }, ours, []),
      'delete rule ip filter GANTRY handle 10\ndelete rule ip filter GANTRY handle 11\n',
    )
  })
})
