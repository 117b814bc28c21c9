# Mail::IMAPClient fetches every mail into a folder, one file for each: PORT FOLDER [CA].
use strict;
use warnings;
use Mail::IMAPClient;

my ($port, $folder, $ca) = @ARGV;
my @tls = $ca ? (Ssl => [SSL_ca_file => $ca, SSL_verify_mode => 1, SSL_verifycn_name => "127.0.0.1"]) : ();
my $client = Mail::IMAPClient->new(
    Server => "127.0.0.1", Port => $port, User => "user", Password => "secret", Peek => 1, Uid => 1, @tls,
) or die "no session: $@\n";
$client->examine("INBOX") or die $client->LastError;
for my $uid ($client->messages) {
    $client->message_to_file("$folder/$uid", $uid) or die $client->LastError;
}
$client->logout;
