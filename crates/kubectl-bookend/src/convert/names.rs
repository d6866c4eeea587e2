//! Names of the things that are added to a pod.

/// The binary in the container.
pub(super) const COPIED: &str = "/bookend/bookend";
/// The first choice for the port of an endpoint.
pub(crate) const PORT: u16 = 9797;
/// The init container, its volume, the sidecar and the port.
pub(super) const NAME: &str = "bookend";
/// The volume with the configurations, from the pod's annotations.
pub(super) const CONFIG_VOLUME: &str = "bookend-config";
/// The folder of the binary and of the sockets in a container.
pub(super) const FOLDER: &str = "/bookend";
/// The folder of the configurations in a container.
pub(super) const CONFIG_FOLDER: &str = "/etc/bookend";
/// `bookend-config/CONTAINER` is the annotation with its bookend.toml.
pub(super) const CONFIG_ANNOTATION: &str = "bookend-config/";
/// `bookend-original/CONTAINER` is the annotation with the fields that it had before, as JSON.
pub(super) const ORIGINAL_ANNOTATION: &str = "bookend-original/";
/// Variables of a wrapped container.
pub(super) const VARIABLES: [&str; 2] = ["BOOKEND_CONFIG", "BOOKEND_SOCKET"];
/// Lists of a container that get items. The original keeps those that were there without any.
pub(super) const LISTS: [&str; 3] = ["env", "volumeMounts", "ports"];
/// In the original: variables of the names above that the container had, with their positions.
pub(super) const OWN_VARIABLES: &str = "ownVariables";
/// In the original: fields whose value was `null`.
pub(super) const NULLS: &str = "nulls";
/// In the original of the pod's first container: lists and maps of the pod that were there without any item.
pub(super) const OF_POD: &str = "pod";
/// Kubernetes' default of `terminationGracePeriodSeconds`.
pub(crate) const DEFAULT_GRACE_SECONDS: u64 = 30;

/// The image with the binary; a cluster has its registry in front.
pub(crate) fn image() -> String {
    format!("bookend:{}", env!("CARGO_PKG_VERSION"))
}
