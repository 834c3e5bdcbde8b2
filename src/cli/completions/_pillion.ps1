
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'pillion' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'pillion'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'pillion' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run the proxy, or the proxy around a program: `pillion run -- python agents.py`')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Simulated agents against a simulated model through the real proxy: no key, no network')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration and print what is in effect, with the origin of each value')
            [CompletionResult]::new('simulate', 'simulate', [CompletionResultType]::ParameterValue, 'The simulated model alone, with faults to order')
            [CompletionResult]::new('dashboards', 'dashboards', [CompletionResultType]::ParameterValue, 'Write the Grafana dashboards and the Prometheus rules of this version')
            [CompletionResult]::new('top', 'top', [CompletionResultType]::ParameterValue, 'What a running Pillion''s agents do, in this terminal and as it goes')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print what a shell reads to complete verbs and flags')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'pillion;run' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where agents connect [default: 127.0.0.1:4100]')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'Where health and metrics are [default: 127.0.0.1:4101]')
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'Send everything to this URL')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;demo' {
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'End after this long; else with Ctrl-C')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Same seed, same story')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where the simulated agents connect, and others may [default: a free port of the loopback]')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'Where health and metrics are [default: a free port of the loopback]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;check' {
            [CompletionResult]::new('--config', '--config', [CompletionResultType]::ParameterName, 'The configuration file (YAML). None is needed [env: `PILLION_CONFIG`]')
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where agents connect [default: 127.0.0.1:4100]')
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'Where health and metrics are [default: 127.0.0.1:4101]')
            [CompletionResult]::new('--upstream', '--upstream', [CompletionResultType]::ParameterName, 'Send everything to this URL')
            [CompletionResult]::new('--agent', '--agent', [CompletionResultType]::ParameterName, 'Show what is in effect for this agent')
            [CompletionResult]::new('--model', '--model', [CompletionResultType]::ParameterName, '… and this model')
            [CompletionResult]::new('--path', '--path', [CompletionResultType]::ParameterName, '… and this path')
            [CompletionResult]::new('--probe', '--probe', [CompletionResultType]::ParameterName, 'Also try each upstream, hop by hop: DNS, TCP, TLS, HTTP, list of models, credentials')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;simulate' {
            [CompletionResult]::new('--listen', '--listen', [CompletionResultType]::ParameterName, 'Where it listens')
            [CompletionResult]::new('--script', '--script', [CompletionResultType]::ParameterName, 'A script of answers and faults (YAML or JSON); `--example` prints one')
            [CompletionResult]::new('--seed', '--seed', [CompletionResultType]::ParameterName, 'Same seed, same answers')
            [CompletionResult]::new('--latency', '--latency', [CompletionResultType]::ParameterName, 'Time to the first token')
            [CompletionResult]::new('--tokens-per-second', '--tokens-per-second', [CompletionResultType]::ParameterName, 'Pace of a stream; 0 is as fast as can be')
            [CompletionResult]::new('--tls', '--tls', [CompletionResultType]::ParameterName, 'Serve TLS (and plain HTTP still) with a certificate for localhost of a CA made up now, which is written to this file')
            [CompletionResult]::new('--tls-cert', '--tls-cert', [CompletionResultType]::ParameterName, 'Serve TLS with this certificate chain (PEM)')
            [CompletionResult]::new('--tls-key', '--tls-key', [CompletionResultType]::ParameterName, '… and its key (PEM)')
            [CompletionResult]::new('--example', '--example', [CompletionResultType]::ParameterName, 'Print a script with comments that shows every kind of answer and fault, and end')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;dashboards' {
            [CompletionResult]::new('--out', '--out', [CompletionResultType]::ParameterName, 'The folder they go to: `DIR/*.json` and `DIR/alerts/pillion.rules.yaml`; files of an earlier version are written over')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;top' {
            [CompletionResult]::new('--admin', '--admin', [CompletionResultType]::ParameterName, 'The admin port to look at: an address or a URL [env: `PILLION_SERVER__ADMIN`] [default: 127.0.0.1:4101]')
            [CompletionResult]::new('--token', '--token', [CompletionResultType]::ParameterName, 'Its token; in the environment others on this machine cannot read it [env: `PILLION_SERVER__ADMIN_TOKEN`]')
            [CompletionResult]::new('--interval', '--interval', [CompletionResultType]::ParameterName, 'How often to look')
            [CompletionResult]::new('--once', '--once', [CompletionResultType]::ParameterName, 'Look once, print it and end; so it is where the output is no terminal, too')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'pillion;help' {
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run the proxy, or the proxy around a program: `pillion run -- python agents.py`')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Simulated agents against a simulated model through the real proxy: no key, no network')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check the configuration and print what is in effect, with the origin of each value')
            [CompletionResult]::new('simulate', 'simulate', [CompletionResultType]::ParameterValue, 'The simulated model alone, with faults to order')
            [CompletionResult]::new('dashboards', 'dashboards', [CompletionResultType]::ParameterValue, 'Write the Grafana dashboards and the Prometheus rules of this version')
            [CompletionResult]::new('top', 'top', [CompletionResultType]::ParameterValue, 'What a running Pillion''s agents do, in this terminal and as it goes')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print what a shell reads to complete verbs and flags')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'pillion;help;run' {
            break
        }
        'pillion;help;demo' {
            break
        }
        'pillion;help;check' {
            break
        }
        'pillion;help;simulate' {
            break
        }
        'pillion;help;dashboards' {
            break
        }
        'pillion;help;top' {
            break
        }
        'pillion;help;completions' {
            break
        }
        'pillion;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
