//! Types by the extension of a name, and the names that attackers prefer.
use super::relation::alias;
use policy::model::ExtraType;

/// The types that names say, each once.
pub(super) fn types(names: &[String], extra: &[ExtraType]) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for name in names {
        let Some((_, extension)) = name.rsplit_once('.') else { continue };
        let extension = extension.to_lowercase();
        let own = extra.iter().find(|own| own.extensions.contains(&extension));
        let known = match own {
            Some(own) => Some(own.mime_type.as_str()),
            None => of(&extension),
        };
        if let Some(known) = known.map(alias)
            && !types.iter().any(|found| found == known)
        {
            types.push(known.to_owned());
        }
    }
    types
}

/// The type of an extension in lower case.
fn of(extension: &str) -> Option<&'static str> {
    TABLE
        .iter()
        .find(|(_, extensions)| extensions.split(' ').any(|known| known == extension))
        .map(|(name, _)| *name)
}

const PROGRAM: &str = "application/vnd.microsoft.portable-executable";

const TABLE: &[(&str, &str)] = &[
    // What Windows starts by a click.
    (PROGRAM, "exe dll scr com pif cpl sys ocx xll drv efi ax acm mui"),
    ("application/x-msi", "msi msp mst"),
    ("text/x-msdos-batch", "bat cmd"),
    ("text/x-powershell", "ps1 ps1xml ps2 psc1 psc2 psm1 psd1 cdxml"),
    ("application/javascript", "js jse mjs"),
    ("text/vbscript", "vbs vbe vb"),
    ("application/x-wsf", "wsf wsh wsc sct"),
    ("application/hta", "hta"),
    ("application/x-ms-shortcut", "lnk"),
    ("application/x-mswinurl", "url website"),
    ("application/windows-library+xml", "library-ms search-ms searchconnector-ms settingcontent-ms"),
    ("text/x-ms-regedit", "reg"),
    ("application/vnd.ms-htmlhelp", "chm"),
    ("application/onenote", "one onepkg onetoc2"),
    ("application/x-rdp", "rdp"),
    ("application/x-sylk", "slk"),
    ("text/x-ms-iqy", "iqy oqy dqy rqy"),
    ("application/x-msaccess", "mdb accdb ade adp mde accde"),
    ("application/vnd.ms-appx", "appx msix appinstaller"),
    ("application/x-theme", "theme themepack deskthemepack"),
    ("application/x-msc", "msc"),
    ("application/java-archive", "jar war ear jnlp"),
    ("application/java-vm", "class"),
    // Elsewhere.
    ("application/x-executable", "elf bin-elf so out run ko"),
    ("application/x-mach-binary", "dylib macho"),
    ("application/x-apple-diskimage", "dmg"),
    ("application/vnd.android.package-archive", "apk"),
    ("application/x-shellscript", "sh bash zsh csh ksh command"),
    ("application/x-python", "py pyw pyz"),
    ("application/x-perl", "pl"),
    ("application/x-php", "php phtml phar"),
    ("application/vnd.debian.binary-package", "deb"),
    ("application/x-rpm", "rpm"),
    ("application/x-shockwave-flash", "swf"),
    // Containers.
    ("application/zip", "zip zipx"),
    ("application/gzip", "gz tgz"),
    ("application/x-bzip2", "bz2 tbz tbz2"),
    ("application/x-xz", "xz txz"),
    ("application/x-lzma", "lzma"),
    ("application/zstd", "zst tzst"),
    ("application/x-7z-compressed", "7z"),
    ("application/vnd.rar", "rar rev"),
    ("application/x-tar", "tar"),
    ("application/vnd.ms-cab-compressed", "cab"),
    ("application/x-arj", "arj"),
    ("application/x-ace-compressed", "ace"),
    ("application/x-lzh-compressed", "lzh lha"),
    ("application/x-iso9660-image", "iso"),
    ("application/x-raw-disk-image", "img"),
    ("application/x-vhd", "vhd"),
    ("application/x-vhdx", "vhdx"),
    ("application/x-vmdk", "vmdk"),
    ("application/x-ms-wim", "wim"),
    ("application/vnd.ms-tnef", "tnef"),
    ("message/rfc822", "eml"),
    ("application/x-mimearchive", "mht mhtml"),
    // Office.
    ("application/msword", "doc dot wbk"),
    ("application/vnd.ms-excel", "xls xlt xla xlm xlw"),
    ("application/vnd.ms-powerpoint", "ppt pot pps ppa"),
    ("application/vnd.ms-outlook", "msg oft"),
    ("application/vnd.ms-publisher", "pub"),
    ("application/vnd.ms-project", "mpp"),
    ("application/vnd.visio", "vsd"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.template", "dotx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.template", "xltx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.slideshow", "ppsx"),
    ("application/vnd.ms-word.document.macroenabled.12", "docm"),
    ("application/vnd.ms-word.template.macroenabled.12", "dotm"),
    ("application/vnd.ms-excel.sheet.macroenabled.12", "xlsm"),
    ("application/vnd.ms-excel.template.macroenabled.12", "xltm"),
    ("application/vnd.ms-excel.addin.macroenabled.12", "xlam"),
    ("application/vnd.ms-excel.sheet.binary.macroenabled.12", "xlsb"),
    ("application/vnd.ms-powerpoint.presentation.macroenabled.12", "pptm"),
    ("application/vnd.ms-powerpoint.slideshow.macroenabled.12", "ppsm"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/vnd.oasis.opendocument.spreadsheet", "ods"),
    ("application/vnd.oasis.opendocument.presentation", "odp"),
    ("application/rtf", "rtf"),
    ("application/pdf", "pdf"),
    ("application/postscript", "ps eps"),
    ("application/epub+zip", "epub"),
    // Text.
    ("text/plain", "txt text log ini cfg conf"),
    ("text/html", "html htm xhtml xht shtml shtm"),
    ("text/xml", "xml xsl xslt"),
    ("text/css", "css"),
    ("text/csv", "csv tsv"),
    ("text/calendar", "ics ifb"),
    ("text/vcard", "vcf"),
    ("application/json", "json"),
    // Pictures and sound.
    ("image/png", "png"),
    ("image/jpeg", "jpg jpeg jpe jfif"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tif tiff"),
    ("image/svg+xml", "svg svgz"),
    ("image/heic", "heic heif"),
    ("image/vnd.microsoft.icon", "ico"),
    ("audio/mpeg", "mp3"),
    ("audio/vnd.wave", "wav"),
    ("audio/ogg", "ogg oga opus"),
    ("audio/mp4", "m4a"),
    ("video/mp4", "mp4 m4v"),
    ("video/quicktime", "mov"),
    ("video/x-msvideo", "avi"),
    ("video/matroska", "mkv"),
    ("application/pgp-signature", "sig asc"),
    ("application/x-pkcs7-signature", "p7s"),
    ("application/pkcs7-mime", "p7m p7c"),
];
