//! Every orphan is reaped.

use crate::support::{Init, code, free_port, get};

#[test]
fn ten_thousand_orphans_are_reaped_with_none_left() {
    let port = free_port();
    // Each child forks a grandchild and ends: the grandchild's next parent is PID 1.
    let script = r#"
        $SIG{CHLD} = 'DEFAULT';
        for (1..10000) { my $p = fork; die "fork: $!" unless defined $p; if (!$p) { fork; exit 0 } waitpid $p, 0 }
        sub left { my $n = 0; for (glob "/proc/[0-9]*/stat") { open my $f, "<", $_ or next; my @s = split ' ', <$f>; $n++ if $s[3] == 1 && $s[0] != $$ } $n }
        for (1..1000) { last unless left(); select undef, undef, undef, 0.02 }
        syswrite STDOUT, "left: " . left() . "\n"; sleep 1000
    "#;
    let init = Init::configured(&format!("http.listen = \"127.0.0.1:{port}\""), &["--", "perl", "-e", script]);
    init.wait_for_out("left: ");
    assert_eq!(init.out(), "left: 0\n");
    assert_eq!(code(port, "/livez"), 200);
    assert!(get(port, "/status").unwrap().contains("\"orphansReaped\": 10000"));
}
