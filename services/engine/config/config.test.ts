import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { GantryError } from '../../../shared/errors/index.ts'
import { withDefaults } from './defaults.ts'
import { healthCheck } from './health.ts'
import { mergeEnv, mergeImage } from './image.ts'
import { mountRequests, parseBind } from './mounts.ts'
import { CONFIG_OPTIONS, HOST_OPTIONS } from './options.ts'
import { exposedPorts, portRequests } from './ports.ts'
import { Config, HostConfig } from './schema.ts'
import { capabilities, securityOptions } from './security.ts'
import { signalNumber } from './signals.ts'
import { parseWish } from './wish.ts'

const wish = (body: Record<string, unknown>) => parseWish({ Image: 'img', ...body })
const host = (hostConfig: Record<string, unknown>) => wish({ HostConfig: hostConfig })

describe('what a user asks for', () => {
  it('every option of Docker has a rule', () => {
    assert.deepEqual(Object.keys(CONFIG_OPTIONS).sort(), Object.keys(Config.properties).sort())
    assert.deepEqual(Object.keys(HOST_OPTIONS).sort(), Object.keys(HostConfig.properties).sort())
  })

  const refused: [what: string, body: Record<string, unknown>, message: RegExp, kind?: string][] = [
    ['a wrong type', { HostConfig: { Memory: 'x' } }, /HostConfig\.Memory must be integer/],
    [
      'a wrong type deep down',
      { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: 1 }] } } },
      /HostConfig\.PortBindings.*HostPort/,
    ],
    ['an unknown signal', { StopSignal: 'SIGFOO' }, /Invalid signal: SIGFOO/],
    [
      'a relative working directory',
      { WorkingDir: 'x' },
      /the working directory 'x' is invalid, it needs to be an absolute path/,
    ],
    ['a variable without a name', { Env: ['=x'] }, /invalid environment variable: =x/],
    ['a host name that is too long', { Hostname: 'a'.repeat(64) }, /invalid hostname/],
    ['remapped users', { HostConfig: { UsernsMode: 'private' } }, /UsernsMode/, 'not-implemented'],
    ['an unknown capability', { HostConfig: { CapAdd: ['FOO'] } }, /invalid CapAdd: unknown capability: "FOO"/],
    ['an unknown security option', { HostConfig: { SecurityOpt: ['foo=1'] } }, /invalid --security-opt: "foo=1"/],
    [
      'GPUs',
      { HostConfig: { DeviceRequests: [{ Driver: 'nvidia', Capabilities: [['gpu']] }] } },
      /could not select device driver "nvidia"/,
    ],
    ['an unknown ulimit', { HostConfig: { Ulimits: [{ Name: 'foo', Soft: 1, Hard: 1 }] } }, /invalid ulimit type: foo/],
    ['a soft limit over the hard one', { HostConfig: { Ulimits: [{ Name: 'nofile', Soft: 3, Hard: 2 }] } }, /3 > 2/],
    [
      'an OOM score out of range',
      { HostConfig: { OomScoreAdj: 2000 } },
      /Invalid value 2000, range for oom score adj is \[-1000, 1000\]/,
    ],
    [
      'a global sysctl',
      { HostConfig: { Sysctls: { 'vm.swappiness': '1' } } },
      /sysctl "vm\.swappiness" is not allowed/,
    ],
    [
      'an address on the host network',
      {
        HostConfig: { NetworkMode: 'host' },
        NetworkingConfig: { EndpointsConfig: { host: { IPAMConfig: { IPv4Address: '10.0.0.5' } } } },
      },
      /user specified IP address is supported on user defined networks only/,
    ],
    [
      'a network sysctl with the host network',
      { HostConfig: { NetworkMode: 'host', Sysctls: { 'net.ipv4.ip_forward': '1' } } },
      /host network namespace/,
    ],
    ['a bad device rule', { HostConfig: { DeviceCgroupRules: ['x'] } }, /invalid device cgroup rule format: 'x'/],
    ['an unknown restart policy', { HostConfig: { RestartPolicy: { Name: 'x' } } }, /unknown policy 'x'/],
    [
      'retries of always',
      { HostConfig: { RestartPolicy: { Name: 'always', MaximumRetryCount: 1 } } },
      /maximum retry count can only be used with 'on-failure'/,
    ],
    [
      'AutoRemove with a restart policy',
      { HostConfig: { AutoRemove: true, RestartPolicy: { Name: 'always' } } },
      /can't create 'AutoRemove' container with restart policy/,
    ],
    ['a bad pattern', { HostConfig: { LogConfig: { Config: { 'env-regex': '(' } } } }, /log opt env-regex/],
    [
      'a tag with an unknown part',
      { HostConfig: { LogConfig: { Config: { tag: 'x/{{.Foo}}' } } } },
      /log opt tag: \{\{\.Foo\}\} is not one of/,
    ],
    ['a bad protocol', { ExposedPorts: { '80/foo': {} } }, /80\/foo.*invalid proto: foo/],
    [
      'a port out of range',
      { HostConfig: { PortBindings: { '80/tcp': [{ HostPort: '99999' }] } } },
      /Invalid hostPort: "99999"/,
    ],
    [
      'ranges of different lengths',
      { HostConfig: { PortBindings: { '80-82/tcp': [{ HostPort: '80-81' }] } } },
      /Invalid ranges/,
    ],
    [
      'a bad host address',
      { HostConfig: { PortBindings: { '80/tcp': [{ HostIp: 'x', HostPort: '1' }] } } },
      /invalid IP address: x/,
    ],
    [
      'ports in container mode',
      { HostConfig: { NetworkMode: 'container:x', PortBindings: { '80/tcp': [{}] } } },
      /conflicting options: port publishing and the container type network mode/,
    ],
    [
      'a host name in container mode',
      { Hostname: 'x', HostConfig: { NetworkMode: 'container:x' } },
      /conflicting options: hostname and the network mode/,
    ],
    [
      'DNS in container mode',
      { HostConfig: { NetworkMode: 'container:x', Dns: ['1.1.1.1'] } },
      /conflicting options: dns and the network mode/,
    ],
    [
      'a host name with the host UTS namespace',
      { Hostname: 'x', HostConfig: { UTSMode: 'host' } },
      /conflicting options: hostname and the UTS mode/,
    ],
    [
      'a static address on the default bridge',
      { NetworkingConfig: { EndpointsConfig: { bridge: { IPAMConfig: { IPv4Address: '172.17.0.9' } } } } },
      /user defined networks only/,
    ],
    [
      'an alias on the default bridge',
      { NetworkingConfig: { EndpointsConfig: { default: { Aliases: ['a'] } } } },
      /network-scoped alias/,
    ],
    ['a DNS server by name', { HostConfig: { Dns: ['dns.example'] } }, /invalid DNS server: dns\.example/],
    ['a bad MAC address', { MacAddress: 'x' }, /invalid MAC address: x/],
    ['an unknown PID mode', { HostConfig: { PidMode: 'x' } }, /invalid PID mode: x/],
    ['a Windows option', { HostConfig: { CpuCount: 2 } }, /HostConfig\.CpuCount is for Windows/],
    [
      'a mount without target',
      { HostConfig: { Mounts: [{ Type: 'bind', Source: '/x' }] } },
      /invalid mount config for type "bind": field Target must not be empty/,
    ],
    ['an unknown mount type', { HostConfig: { Mounts: [{ Type: 'x', Target: '/x' }] } }, /mount type unknown: "x"/],
    ['a health check of unknown kind', { Healthcheck: { Test: ['FOO', 'x'] } }, /Unknown healthcheck type 'FOO'/],
    ['a too short interval', { Healthcheck: { Interval: 10 } }, /Interval in Healthcheck cannot be less than 1ms/],
    ['an empty body', { Image: undefined }, /config cannot be empty/],
    ['no image', { Image: '', Cmd: ['x'] }, /no image specified/],
  ]
  for (const [what, body, message, kind = 'invalid'] of refused) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => wish(body),
        (e) => (e instanceof GantryError && e.kind === kind && message.test(e.message)) || assert.fail(String(e)),
      )
    })
  }

  it('takes what the docker CLI sends for `docker run`', () => {
    const { hostConfig, endpoints } = wish({
      Hostname: '',
      Cmd: ['true'],
      Entrypoint: null,
      ExposedPorts: { '80/tcp': {} },
      OnBuild: null,
      Labels: {},
      HostConfig: {
        Binds: null,
        ContainerIDFile: '',
        LogConfig: { Type: '', Config: {} },
        NetworkMode: 'default',
        PortBindings: { '80/tcp': [{ HostIp: '', HostPort: '8080' }] },
        RestartPolicy: { Name: 'no', MaximumRetryCount: 0 },
        ConsoleSize: [24, 80],
        CapAdd: null,
        CgroupnsMode: '',
        PidsLimit: 0,
        Isolation: '',
        MaskedPaths: null,
        DeviceRequests: null,
        OomKillDisable: false,
        MemorySwappiness: -1,
      },
      NetworkingConfig: {
        EndpointsConfig: { default: { IPAMConfig: null, Links: null, MacAddress: '', GwPriority: 0 } },
      },
    })
    assert.deepEqual(Object.keys(endpoints), ['bridge'])
    assert.deepEqual(portRequests({}, hostConfig), [{ protocol: 'tcp', containerPort: 80, hostIp: '', hostPort: 8080 }])
  })

  it('networks: the main one first, the others as given; none for host, none and container', () => {
    const { endpoints } = wish({
      HostConfig: { NetworkMode: 'front' },
      NetworkingConfig: { EndpointsConfig: { back: { Aliases: ['b'] }, front: { GwPriority: 1 } } },
    })
    assert.deepEqual(Object.entries(endpoints), [
      ['front', { GwPriority: 1 }],
      ['back', { Aliases: ['b'] }],
    ])
    assert.deepEqual(host({ NetworkMode: 'none' }).endpoints, {})
    assert.deepEqual(wish({ MacAddress: '02:00:00:00:00:01' }).endpoints, {
      bridge: { MacAddress: '02:00:00:00:00:01' },
    })
  })

  it('ports: ranges are spread, -P takes what is exposed and not bound', () => {
    const config = { ExposedPorts: { '80/tcp': {}, '53/udp': {} } }
    const bindings = { '8000-8001/tcp': [{ HostPort: '9000-9001' }], '80/tcp': [{ HostIp: '::1', HostPort: '1-5' }] }
    assert.deepEqual(portRequests(config, { PortBindings: bindings, PublishAllPorts: true }), [
      { protocol: 'tcp', containerPort: 8000, hostIp: '', hostPort: 9000 },
      { protocol: 'tcp', containerPort: 8001, hostIp: '', hostPort: 9001 },
      { protocol: 'tcp', containerPort: 80, hostIp: '::1', hostPort: 1, hostPortEnd: 5 },
      { protocol: 'udp', containerPort: 53, hostIp: '', hostPort: 0 },
    ])
    assert.equal(exposedPorts(config, { PortBindings: bindings }).length, 4)
  })

  it('binds', () => {
    assert.deepEqual(parseBind('/a:/b:ro,rslave', ''), {
      type: 'bind',
      source: '/a',
      target: '/b',
      readOnly: true,
      mode: 'ro,rslave',
      createSource: true,
      propagation: 'rslave',
    })
    assert.deepEqual(parseBind('data:/b:nocopy', 'local'), {
      type: 'volume',
      source: 'data',
      target: '/b',
      readOnly: false,
      mode: 'nocopy',
      noCopy: true,
      volumeDriver: 'local',
    })
    for (const bad of ['', ':', '/a:', '/a:ro', 'a:b:c:d', '/a:/b:foo', '/a:b', '/a:/', 'a/b:/c', 'v:/b:rshared']) {
      assert.throws(() => parseBind(bad, ''), GantryError, bad)
    }
  })

  it('mounts: places are unique, and Volumes give way', () => {
    const bind = { Binds: ['/a:/x'] }
    assert.throws(() => mountRequests({}, { ...bind, Tmpfs: { '/x/': '' } }, []), /Duplicate mount point: \/x/)
    const inherited = [
      { type: 'volume', source: 'v', target: '/x', readOnly: false },
      { type: 'volume', source: 'w', target: '/y', readOnly: false },
    ] as const
    const all = mountRequests({ Volumes: { '/x': {}, '/y': {}, '/z': {} } }, bind, inherited)
    assert.deepEqual(
      all.map((m) => [m.type, m.source, m.target]),
      [
        ['bind', '/a', '/x'],
        ['volume', 'w', '/y'],
        ['volume', '', '/z'],
      ],
    )
  })

  it('image and container are merged as Docker does it', () => {
    const image = {
      Cmd: ['sh'],
      Entrypoint: ['init'],
      Env: ['A=1', 'B=2'],
      WorkingDir: '/w',
      Labels: { a: '1', b: '1' },
      StopSignal: 'INT',
    }
    const merged = mergeImage({ Env: ['Z=1', 'A=9', 'B'], Labels: { b: '2' } }, image)
    // As with Docker, the container's own come first.
    assert.deepEqual(merged.Env, ['Z=1', 'A=9'])
    assert.deepEqual(mergeImage({ Env: ['Z=1'] }, image).Env, ['Z=1', 'A=1', 'B=2'])
    assert.deepEqual([merged.Entrypoint, merged.Cmd], [['init'], ['sh']])
    assert.deepEqual(merged.Labels, { a: '1', b: '2' })
    assert.deepEqual([merged.WorkingDir, merged.StopSignal], ['/w', 'INT'])
    // An entrypoint of one's own does away with the image's command; an empty one with both.
    assert.equal(mergeImage({ Entrypoint: ['x'] }, image).Cmd, undefined)
    assert.deepEqual(mergeImage({ Cmd: ['y'] }, image).Entrypoint, ['init'])
    assert.throws(() => mergeImage({ Entrypoint: [''] }, image), /no command specified/)
    assert.throws(() => mergeImage({}, {}), /no command specified/)
    assert.deepEqual(mergeEnv(['A=1'], ['A=2', 'C=']), ['A=2', 'C='])
  })

  it('signals by name and number', () => {
    assert.deepEqual(['TERM', 'SIGKILL', '10', 'rtmin+3', 'SIGRTMAX'].map(signalNumber), [15, 9, 10, 37, 64])
    for (const bad of ['0', '65', 'FOO', 'RTMIN+99', '']) assert.throws(() => signalNumber(bad), /Invalid signal/)
  })

  it('security options and capabilities', () => {
    assert.deepEqual(capabilities('CapAdd', ['net_admin', 'CAP_KILL', 'all']), ['CAP_NET_ADMIN', 'CAP_KILL', 'ALL'])
    assert.deepEqual(
      securityOptions(['no-new-privileges', 'seccomp=unconfined', 'label=disable', 'apparmor=unconfined']),
      {
        seccomp: 'unconfined',
        noNewPrivileges: true,
      },
    )
    assert.equal(securityOptions(['no-new-privileges:false']).noNewPrivileges, false)
    assert.throws(() => securityOptions(['seccomp={bad']), /seccomp/)
  })

  it('defaults', () => {
    const facilities = { runtime: 'crun', logDriver: 'json-file', logOptions: { 'max-size': '1m' }, cgroupV2: false }
    const d = withDefaults({ Memory: 5, LogConfig: { Config: { 'max-file': '2' } } }, facilities)
    assert.equal(d.MemorySwap, 10)
    assert.deepEqual(d.LogConfig, { Type: 'json-file', Config: { 'max-size': '1m', 'max-file': '2' } })
    assert.deepEqual(
      [d.NetworkMode, d.IpcMode, d.CgroupnsMode, d.Runtime, d.ShmSize],
      ['bridge', 'private', 'host', 'crun', 67108864],
    )
    for (const cgroupV2 of [false, true]) {
      const privileged = withDefaults({ Privileged: true }, { ...facilities, cgroupV2 })
      assert.equal(privileged.CgroupnsMode, cgroupV2 ? 'private' : 'host')
    }
    assert.deepEqual(withDefaults({ Privileged: true }, facilities).MaskedPaths, [])
    assert.deepEqual(withDefaults({ LogConfig: { Type: 'none' } }, facilities).LogConfig, { Type: 'none', Config: {} })
  })

  it('health checks', () => {
    assert.equal(healthCheck({}), undefined)
    assert.equal(healthCheck({ Healthcheck: { Test: ['NONE'] } }), undefined)
    assert.deepEqual(healthCheck({ Healthcheck: { Test: ['CMD-SHELL', 'x'], Interval: 5e8, Retries: 2 } }), {
      command: ['/bin/sh', '-c', 'x'],
      intervalMs: 500,
      timeoutMs: 30_000,
      startPeriodMs: 0,
      startIntervalMs: 5000,
      retries: 2,
    })
  })
})
