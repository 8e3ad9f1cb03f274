import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isKind } from '../../../shared/errors/index.ts'
import { applyChanges, type RunConfig } from './changes.ts'

describe('Dockerfile instructions on a configuration', () => {
  const cases: [string[], RunConfig][] = [
    [['CMD echo hi'], { Cmd: ['/bin/sh', '-c', 'echo hi'] }],
    [['CMD ["echo", "hi"]'], { Cmd: ['echo', 'hi'] }],
    [['cmd []'], { Cmd: [] }],
    [['ENTRYPOINT ["/x"]'], { Entrypoint: ['/x'] }],
    [['SHELL ["/bin/ash","-ec"]', 'CMD x'], { Shell: ['/bin/ash', '-ec'], Cmd: ['/bin/ash', '-ec', 'x'] }],
    [['ENV A=1 B="x y" C=\'$A\' D=a\\ b'], { Env: ['A=1', 'B=x y', 'C=$A', 'D=a b'] }],
    [['ENV old form with spaces'], { Env: ['old=form with spaces'] }],
    [['ENV A=1', 'ENV B=$A-${A}-${N:-d}-${A:+s}', 'ENV A=2'], { Env: ['A=2', 'B=1-1-d-s'] }],
    [['LABEL a=b "c d"="e f"'], { Labels: { a: 'b', 'c d': 'e f' } }],
    [
      ['EXPOSE 80 53/udp 8000-8002'],
      { ExposedPorts: { '80/tcp': {}, '53/udp': {}, '8000/tcp': {}, '8001/tcp': {}, '8002/tcp': {} } },
    ],
    [['USER 1000:1000'], { User: '1000:1000' }],
    [['VOLUME /a /b', 'VOLUME ["/c d"]'], { Volumes: { '/a': {}, '/b': {}, '/c d': {} } }],
    [['WORKDIR /a', 'WORKDIR b/../c'], { WorkingDir: '/a/c' }],
    [['STOPSIGNAL SIGUSR1'], { StopSignal: 'SIGUSR1' }],
    [['STOPSIGNAL RTMIN+3'], { StopSignal: 'RTMIN+3' }],
    [['ONBUILD RUN make', 'ONBUILD COPY . /x'], { OnBuild: ['RUN make', 'COPY . /x'] }],
    [
      ['HEALTHCHECK --interval=5s --timeout=1m30s --retries=2 CMD curl localhost'],
      { Healthcheck: { Test: ['CMD-SHELL', 'curl localhost'], Interval: 5e9, Timeout: 90e9, Retries: 2 } },
    ],
    [['HEALTHCHECK CMD ["true"]'], { Healthcheck: { Test: ['CMD', 'true'] } }],
    [['HEALTHCHECK NONE'], { Healthcheck: { Test: ['NONE'] } }],
    [['# comment\nENV A=1 \\\n  B=2\nUSER me'], { Env: ['A=1', 'B=2'], User: 'me' }],
  ]
  for (const [changes, config] of cases) {
    it(changes.join(' / '), () => assert.deepEqual(applyChanges({}, changes), config))
  }

  it('leaves the given configuration alone', () => {
    const base: RunConfig = { Env: ['A=1'], Labels: { a: 'b' } }
    assert.deepEqual(applyChanges(base, ['ENV A=2', 'LABEL c=d']), { Env: ['A=2'], Labels: { a: 'b', c: 'd' } })
    assert.deepEqual(base, { Env: ['A=1'], Labels: { a: 'b' } })
  })

  const bad: [string, RegExp][] = [
    ['NONSENSE x', /unknown instruction: NONSENSE/],
    ['RUN make', /RUN is not a valid change command/],
    ['FROM x', /FROM is not a valid change command/],
    ['ENV', /ENV/],
    ['ENV A', /ENV must have two arguments/],
    ['ENV A=1 B', /ENV.*can't find = in "B"/],
    ['ENV =x', /ENV names can not be blank/],
    ['ENV A="x', /ENV.*double-quote/],
    ['ENV A=${B', /ENV.*'}'|ENV.*modifier/],
    ['EXPOSE abc', /EXPOSE.*invalid containerPort: abc/],
    ['EXPOSE 80/icmp', /EXPOSE.*invalid proto: 80\/icmp/],
    ['EXPOSE 70000', /EXPOSE.*70000/],
    ['USER', /USER requires exactly one argument/],
    ['USER a b', /USER requires exactly one argument/],
    ['VOLUME', /VOLUME requires at least one argument/],
    ['WORKDIR', /WORKDIR requires exactly one argument/],
    ['STOPSIGNAL SIGNOPE', /STOPSIGNAL.*invalid signal: SIGNOPE/],
    ['STOPSIGNAL 65', /STOPSIGNAL.*65/],
    ['ONBUILD ONBUILD RUN x', /ONBUILD/],
    ['ONBUILD FROM x', /ONBUILD.*FROM|FROM.*ONBUILD/],
    ['HEALTHCHECK', /HEALTHCHECK requires at least one argument/],
    ['HEALTHCHECK FOO x', /Unknown type "FOO" in HEALTHCHECK/],
    ['HEALTHCHECK --interval=soon CMD x', /HEALTHCHECK.*--interval.*soon/],
    ['HEALTHCHECK --retries=0 CMD x', /HEALTHCHECK.*--retries/],
    ['HEALTHCHECK --nope=1 CMD x', /HEALTHCHECK.*--nope/],
    ['SHELL /bin/sh', /SHELL requires the arguments to be in JSON form/],
  ]
  for (const [change, message] of bad) {
    it(`refuses ${change}`, () => {
      assert.throws(
        () => applyChanges({}, [change]),
        (error: unknown) => isKind(error, 'invalid') && message.test(error.message),
      )
    })
  }
})
