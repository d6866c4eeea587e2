#compdef kubectl-bookend

autoload -U is-at-least

_kubectl-bookend() {
    typeset -A opt_args
    typeset -a _arguments_options
    local ret=1

    if is-at-least 5.2; then
        _arguments_options=(-s -S -C)
    else
        _arguments_options=(-s -C)
    fi

    local context curcontext="$curcontext" state line
    _arguments "${_arguments_options[@]}" : \
'-h[Print help]' \
'--help[Print help]' \
'-V[Print version]' \
'--version[Print version]' \
":: :_kubectl-bookend_commands" \
"*::: :->kubectl-bookend" \
&& ret=0
    case $state in
    (kubectl-bookend)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:kubectl-bookend-command-$line[1]:"
        case $line[1] in
            (import)
_arguments "${_arguments_options[@]}" : \
'--container=[Name of the container, or Kind/owner\:NAME; optional if there is only one]:NAME:_default' \
'--manifest=[Write the manifest that runs the container under bookend; stdout gets the bookend.toml]:FILE:_files' \
'--image=[Image of bookend in that manifest \[default\: bookend with the version of this tool\]]:IMAGE:_default' \
'--port=[Port of bookend'\''s endpoint; the next one that is free \[default\: 9797\]]:PORT:_default' \
'--command=[Command of the one container that has none in its manifest\: words, or a list in JSON]:WORDS:_default' \
'--engine=[Engine that has the image\: docker, podman, nerdctl or none \[default\: the first with it\]]:PROGRAM:_default' \
'--image-layout=[Folder with the image in the OCI layout]:DIR:_files' \
'--assume-official[Take the published ENTRYPOINT and CMD of well-known images, such as nginx]' \
'-h[Print help]' \
'--help[Print help]' \
':file -- Manifest (YAML or JSON) with a Pod, or with a workload that has one; `-`\: stdin:_files' \
&& ret=0
;;
(inject)
_arguments "${_arguments_options[@]}" : \
'*--container=[Only these containers\: NAME, Kind/owner or Kind/owner\:NAME; repeatable]:NAME:_default' \
'-n+[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--namespace=[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--context=[Context of the kubeconfig]:NAME:_default' \
'--kubeconfig=[Path of the kubeconfig]:FILE:_default' \
'--image=[Image of bookend \[default\: bookend with the version of this tool\]]:IMAGE:_default' \
'--port=[Port of bookend'\''s endpoint; the next one that is free \[default\: 9797\]]:PORT:_default' \
'--drain-max-seconds=[Longest drain of a container that has no preStop hook; 0\: no drain \[default\: 15 or less\]]:SECONDS:_default' \
'--command=[Command of the one container that has none in its manifest\: words, or a list in JSON]:WORDS:_default' \
'--engine=[Engine that has the image\: docker, podman, nerdctl or none \[default\: the first with it\]]:PROGRAM:_default' \
'--image-layout=[Folder with the image in the OCI layout]:DIR:_files' \
'--diff[Show what would change; the exit code is 1 if anything would]' \
'(--diff)--write[Write the files themselves instead of stdout]' \
'--sidecar[Put bookend beside the containers\: they are not changed but for their preStop hook]' \
'--replace-hooks[With --sidecar\: replace preStop hooks that are there]' \
'--assume-official[Take the published ENTRYPOINT and CMD of well-known images, such as nginx]' \
'-h[Print help]' \
'--help[Print help]' \
'*::sources -- Files, folders, `-` (stdin), or live objects such as deployment/web:_default' \
&& ret=0
;;
(uninject)
_arguments "${_arguments_options[@]}" : \
'*--container=[Only these containers\: NAME, Kind/owner or Kind/owner\:NAME; repeatable]:NAME:_default' \
'-n+[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--namespace=[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--context=[Context of the kubeconfig]:NAME:_default' \
'--kubeconfig=[Path of the kubeconfig]:FILE:_default' \
'--diff[Show what would change; the exit code is 1 if anything would]' \
'(--diff)--write[Write the files themselves instead of stdout]' \
'-h[Print help]' \
'--help[Print help]' \
'*::sources -- Files, folders, `-` (stdin), or live objects such as deployment/web:_default' \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
'()*-f+[Manifest (YAML or JSON), folder with manifests, or \`-\` for stdin; repeatable]:FILE:_files' \
'()*--filename=[Manifest (YAML or JSON), folder with manifests, or \`-\` for stdin; repeatable]:FILE:_files' \
'-n+[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--namespace=[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--context=[Context of the kubeconfig]:NAME:_default' \
'--kubeconfig=[Path of the kubeconfig]:FILE:_default' \
'--values[Show all values that are in effect, as \`bookend check\` does]' \
'--json[Print one JSON object]' \
'-h[Print help]' \
'--help[Print help]' \
'*::objects -- Objects of the cluster, for example deployment/web:_default' \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
'()*-f+[Manifest (YAML or JSON), folder with manifests, or \`-\` for stdin; repeatable]:FILE:_files' \
'()*--filename=[Manifest (YAML or JSON), folder with manifests, or \`-\` for stdin; repeatable]:FILE:_files' \
'-n+[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--namespace=[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--context=[Context of the kubeconfig]:NAME:_default' \
'--kubeconfig=[Path of the kubeconfig]:FILE:_default' \
'--json[Print one JSON object]' \
'-h[Print help]' \
'--help[Print help]' \
'*::objects -- Objects of the cluster, for example deployment/web:_default' \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
'-l+[Pods with these labels, for example app=web]:LABELS:_default' \
'--selector=[Pods with these labels, for example app=web]:LABELS:_default' \
'-n+[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--namespace=[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--context=[Context of the kubeconfig]:NAME:_default' \
'--kubeconfig=[Path of the kubeconfig]:FILE:_default' \
'-c+[Only containers of this name]:NAME:_default' \
'--container=[Only containers of this name]:NAME:_default' \
'--path=[Path of bookend in the containers \[default\: that of their command, else /bookend\]]:PATH:_default' \
'--socket=[Socket of bookend in the containers, if neither BOOKEND_SOCKET nor the default leads to it]:PATH:_default' \
'--timeout-seconds=[Time for each container]:SECONDS:_default' \
'(-n --namespace)-A[Pods of all namespaces]' \
'(-n --namespace)--all-namespaces[Pods of all namespaces]' \
'--json[Print one JSON object]' \
'-h[Print help]' \
'--help[Print help]' \
'*::pods -- Names of the pods \[default\: all of the namespace\]:_default' \
&& ret=0
;;
(stops)
_arguments "${_arguments_options[@]}" : \
'-l+[Pods with these labels, for example app=web]:LABELS:_default' \
'--selector=[Pods with these labels, for example app=web]:LABELS:_default' \
'-n+[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--namespace=[Namespace of the objects; the default is that of kubectl'\''s context]:NAME:_default' \
'--context=[Context of the kubeconfig]:NAME:_default' \
'--kubeconfig=[Path of the kubeconfig]:FILE:_default' \
'(-l --selector -A --all-namespaces)-f+[Read the output of \`kubectl get pods -o json\` from a file; \`-\`\: stdin]:FILE:_files' \
'(-l --selector -A --all-namespaces)--filename=[Read the output of \`kubectl get pods -o json\` from a file; \`-\`\: stdin]:FILE:_files' \
'--list=[Length of the lists\: workloads, slow stops, stops that were not clean]:NUMBER:_default' \
'(-n --namespace)-A[Pods of all namespaces]' \
'(-n --namespace)--all-namespaces[Pods of all namespaces]' \
'--strict[Exit with 1 if a stop was not clean]' \
'--json[Print one JSON object]' \
'-h[Print help]' \
'--help[Print help]' \
'*::pods -- Names of the pods \[default\: all of the namespace\]:_default' \
&& ret=0
;;
(kit)
_arguments "${_arguments_options[@]}" : \
'--image=[Image of bookend, as the nodes can pull it]:IMAGE:_default' \
'--prefix=[Text before the names of labels and annotations\: example.com/bookend-]:PREFIX:_default' \
'*--default=[Set a default of the policies, for example cpuLimit=50m; repeatable]:NAME=VALUE:_default' \
'--image-volume[Take the binary of \`wrap\` from an image volume (not tried on a cluster)]' \
'-h[Print help]' \
'--help[Print help]' \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
":: :_kubectl-bookend__subcmd__help_commands" \
"*::: :->help" \
&& ret=0

    case $state in
    (help)
        words=($line[1] "${words[@]}")
        (( CURRENT += 1 ))
        curcontext="${curcontext%:*:*}:kubectl-bookend-help-command-$line[1]:"
        case $line[1] in
            (import)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(inject)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(uninject)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(check)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(doctor)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(status)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(stops)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(kit)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
(help)
_arguments "${_arguments_options[@]}" : \
&& ret=0
;;
        esac
    ;;
esac
;;
        esac
    ;;
esac
}

(( $+functions[_kubectl-bookend_commands] )) ||
_kubectl-bookend_commands() {
    local commands; commands=(
'import:Convert the hooks and probes of a manifest to a bookend.toml' \
'inject:Write manifests with bookend in front of the containers, or beside them' \
'uninject:Write manifests as they were before inject or import' \
'check:Check bookend'\''s configuration in manifests or in the cluster, and whether it fits the Pod' \
'doctor:Find what in manifests or in the cluster loses requests at a stop or a rollout' \
'status:Show all containers of pods as \`bookend status\` shows one' \
'stops:Show how stops went\: clean, killed, out of memory, over budget, requests lost' \
'kit:Print the admission policies that bring bookend into pods by a label' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'kubectl-bookend commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__check_commands] )) ||
_kubectl-bookend__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend check commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__doctor_commands] )) ||
_kubectl-bookend__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend doctor commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help_commands] )) ||
_kubectl-bookend__subcmd__help_commands() {
    local commands; commands=(
'import:Convert the hooks and probes of a manifest to a bookend.toml' \
'inject:Write manifests with bookend in front of the containers, or beside them' \
'uninject:Write manifests as they were before inject or import' \
'check:Check bookend'\''s configuration in manifests or in the cluster, and whether it fits the Pod' \
'doctor:Find what in manifests or in the cluster loses requests at a stop or a rollout' \
'status:Show all containers of pods as \`bookend status\` shows one' \
'stops:Show how stops went\: clean, killed, out of memory, over budget, requests lost' \
'kit:Print the admission policies that bring bookend into pods by a label' \
'help:Print this message or the help of the given subcommand(s)' \
    )
    _describe -t commands 'kubectl-bookend help commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__check_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__check_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help check commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__doctor_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__doctor_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help doctor commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__help_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__help_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help help commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__import_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__import_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help import commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__inject_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__inject_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help inject commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__kit_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__kit_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help kit commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__status_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help status commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__stops_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__stops_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help stops commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__help__subcmd__uninject_commands] )) ||
_kubectl-bookend__subcmd__help__subcmd__uninject_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend help uninject commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__import_commands] )) ||
_kubectl-bookend__subcmd__import_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend import commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__inject_commands] )) ||
_kubectl-bookend__subcmd__inject_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend inject commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__kit_commands] )) ||
_kubectl-bookend__subcmd__kit_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend kit commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__status_commands] )) ||
_kubectl-bookend__subcmd__status_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend status commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__stops_commands] )) ||
_kubectl-bookend__subcmd__stops_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend stops commands' commands "$@"
}
(( $+functions[_kubectl-bookend__subcmd__uninject_commands] )) ||
_kubectl-bookend__subcmd__uninject_commands() {
    local commands; commands=()
    _describe -t commands 'kubectl-bookend uninject commands' commands "$@"
}

if [ "$funcstack[1]" = "_kubectl-bookend" ]; then
    _kubectl-bookend "$@"
else
    compdef _kubectl-bookend kubectl-bookend
fi
