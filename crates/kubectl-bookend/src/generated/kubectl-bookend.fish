# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kubectl_bookend_global_optspecs
    string join \n h/help V/version
end

function __fish_kubectl_bookend_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kubectl_bookend_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kubectl_bookend_using_subcommand
    set -l cmd (__fish_kubectl_bookend_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "import" -d 'Convert the hooks and probes of a manifest to a bookend.toml'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "inject" -d 'Write manifests with bookend in front of the containers, or beside them'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "uninject" -d 'Write manifests as they were before inject or import'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "check" -d 'Check bookend\'s configuration in manifests or in the cluster, and whether it fits the Pod'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "doctor" -d 'Find what in manifests or in the cluster loses requests at a stop or a rollout'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "status" -d 'Show all containers of pods as `bookend status` shows one'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "stops" -d 'Show how stops went: clean, killed, out of memory, over budget, requests lost'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "kit" -d 'Print the admission policies that bring bookend into pods by a label'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l container -d 'Name of the container, or Kind/owner:NAME; optional if there is only one' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l manifest -d 'Write the manifest that runs the container under bookend; stdout gets the bookend.toml' -r -F
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l image -d 'Image of bookend in that manifest [default: bookend with the version of this tool]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l port -d 'Port of bookend\'s endpoint; the next one that is free [default: 9797]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l command -d 'Command of the one container that has none in its manifest: words, or a list in JSON' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l engine -d 'Engine that has the image: docker, podman, nerdctl or none [default: the first with it]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l image-layout -d 'Folder with the image in the OCI layout' -r -F
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -l assume-official -d 'Take the published ENTRYPOINT and CMD of well-known images, such as nginx'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand import" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l container -d 'Only these containers: NAME, Kind/owner or Kind/owner:NAME; repeatable' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -s n -l namespace -d 'Namespace of the objects; the default is that of kubectl\'s context' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l context -d 'Context of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l kubeconfig -d 'Path of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l image -d 'Image of bookend [default: bookend with the version of this tool]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l port -d 'Port of bookend\'s endpoint; the next one that is free [default: 9797]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l drain-max-seconds -d 'Longest drain of a container that has no preStop hook; 0: no drain [default: 15 or less]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l command -d 'Command of the one container that has none in its manifest: words, or a list in JSON' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l engine -d 'Engine that has the image: docker, podman, nerdctl or none [default: the first with it]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l image-layout -d 'Folder with the image in the OCI layout' -r -F
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l diff -d 'Show what would change; the exit code is 1 if anything would'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l write -d 'Write the files themselves instead of stdout'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l sidecar -d 'Put bookend beside the containers: they are not changed but for their preStop hook'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l replace-hooks -d 'With --sidecar: replace preStop hooks that are there'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -l assume-official -d 'Take the published ENTRYPOINT and CMD of well-known images, such as nginx'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand inject" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -l container -d 'Only these containers: NAME, Kind/owner or Kind/owner:NAME; repeatable' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -s n -l namespace -d 'Namespace of the objects; the default is that of kubectl\'s context' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -l context -d 'Context of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -l kubeconfig -d 'Path of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -l diff -d 'Show what would change; the exit code is 1 if anything would'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -l write -d 'Write the files themselves instead of stdout'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand uninject" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -s f -l filename -d 'Manifest (YAML or JSON), folder with manifests, or `-` for stdin; repeatable' -r -F
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -s n -l namespace -d 'Namespace of the objects; the default is that of kubectl\'s context' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -l context -d 'Context of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -l kubeconfig -d 'Path of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -l values -d 'Show all values that are in effect, as `bookend check` does'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -l json -d 'Print one JSON object'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand check" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand doctor" -s f -l filename -d 'Manifest (YAML or JSON), folder with manifests, or `-` for stdin; repeatable' -r -F
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand doctor" -s n -l namespace -d 'Namespace of the objects; the default is that of kubectl\'s context' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand doctor" -l context -d 'Context of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand doctor" -l kubeconfig -d 'Path of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand doctor" -l json -d 'Print one JSON object'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -s l -l selector -d 'Pods with these labels, for example app=web' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -s n -l namespace -d 'Namespace of the objects; the default is that of kubectl\'s context' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -l context -d 'Context of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -l kubeconfig -d 'Path of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -s c -l container -d 'Only containers of this name' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -l path -d 'Path of bookend in the containers [default: that of their command, else /bookend]' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -l socket -d 'Socket of bookend in the containers, if neither BOOKEND_SOCKET nor the default leads to it' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -l timeout-seconds -d 'Time for each container' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -s A -l all-namespaces -d 'Pods of all namespaces'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -l json -d 'Print one JSON object'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand status" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -s l -l selector -d 'Pods with these labels, for example app=web' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -s n -l namespace -d 'Namespace of the objects; the default is that of kubectl\'s context' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -l context -d 'Context of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -l kubeconfig -d 'Path of the kubeconfig' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -s f -l filename -d 'Read the output of `kubectl get pods -o json` from a file; `-`: stdin' -r -F
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -l list -d 'Length of the lists: workloads, slow stops, stops that were not clean' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -s A -l all-namespaces -d 'Pods of all namespaces'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -l strict -d 'Exit with 1 if a stop was not clean'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -l json -d 'Print one JSON object'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand stops" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand kit" -l image -d 'Image of bookend, as the nodes can pull it' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand kit" -l prefix -d 'Text before the names of labels and annotations: example.com/bookend-' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand kit" -l default -d 'Set a default of the policies, for example cpuLimit=50m; repeatable' -r
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand kit" -l image-volume -d 'Take the binary of `wrap` from an image volume (not tried on a cluster)'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand kit" -s h -l help -d 'Print help'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "import" -d 'Convert the hooks and probes of a manifest to a bookend.toml'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "inject" -d 'Write manifests with bookend in front of the containers, or beside them'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "uninject" -d 'Write manifests as they were before inject or import'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "check" -d 'Check bookend\'s configuration in manifests or in the cluster, and whether it fits the Pod'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "doctor" -d 'Find what in manifests or in the cluster loses requests at a stop or a rollout'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "status" -d 'Show all containers of pods as `bookend status` shows one'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "stops" -d 'Show how stops went: clean, killed, out of memory, over budget, requests lost'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "kit" -d 'Print the admission policies that bring bookend into pods by a label'
complete -c kubectl-bookend -n "__fish_kubectl_bookend_using_subcommand help; and not __fish_seen_subcommand_from import inject uninject check doctor status stops kit help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
